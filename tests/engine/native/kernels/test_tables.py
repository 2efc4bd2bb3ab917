"""The kernels' tables say what the walk says; nothing here needs Triton or a GPU."""

import sys
from itertools import pairwise

import pytest
from hypothesis import given

from evalsuite.checkpoints import resolve
from evalsuite.engine.native import kernels
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.memory_estimate import needs_by_config
from evalsuite.engine.native.trees import walk as tree_walk
from evalsuite.engine.native.trees.kernels.chains import chains_of
from evalsuite.engine.native.trees.kernels.tables import tables_of
from evalsuite.engine.native.trees.kernels.workspace import (
    LARGEST_WORKSPACE,
    heads_at_once,
    workspace_bytes,
)
from evalsuite.engine.native.trees.recurrent import over_a_tree
from tests.engine.native.stand_ins import as_a_gpu
from tests.engine.native.trees.test_mamba import some_chunks, some_sequences, tree_over, walk_over
from tests.engine.tiny import save, tiny_llama


@given(sequences=some_sequences, chunk=some_chunks)
def test_tables_are_the_walk_in_whole_numbers(sequences, chunk):
    walk, tree, _ = walk_over(sequences, chunk)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree_walk, "CHUNK", chunk)
        tables = tables_of(tree)
    edges = tables.edges.tolist()
    assert (edges[0], edges[-1]) == (0, len(tree.pack))
    assert tables.parents.tolist() == walk.parents.tolist()
    assert tables.ends.tolist() == tree.pack.ends.tolist()
    assert all(0 < stop - start <= chunk for start, stop in pairwise(edges))
    parents = tree.pack.parents.tolist()
    lasts = [edges[block + 1] - 1 for block in tables.chunks.tolist()]
    assert sorted(lasts) == [one.tokens.stop - 1 for one in walk.chunks]
    behind = [-1 if source < 0 else lasts[source] for source in tables.sources.tolist()]
    assert behind == [parents[start] for start in edges[:-1]]


@given(sequences=some_sequences, chunk=some_chunks)
def test_a_chain_continues_chunks_of_earlier_levels_only(sequences, chunk):
    _, tree, _ = walk_over(sequences, chunk)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree_walk, "CHUNK", chunk)
        tables = tables_of(tree)
    chunks, sources, chains = tables.chunks.tolist(), tables.sources.tolist(), tables.chains.tolist()
    assert [at for first, last, _ in chains for at in range(first, last)] == [*range(len(chunks))]
    for first, last, source in chains:
        assert [sources[chunks[at]] for at in range(first, last)] == [source, *range(first, last - 1)]
    assert [at for level in tables.levels for at in range(*level)] == [*range(len(chains))]
    for level in tables.levels:
        begin = chains[level[0]][0]
        assert all(source < begin for _, _, source in chains[slice(*level)])


def test_another_level_takes_twice_the_leaves():
    chain = [-1, *range(99)]
    assert chains_of(chain).levels == [(0, 1)]
    comb = [-1, 0, 1, 2, 0, 1, 2, 3, 4, 5, 6, 7]  # blocks 0 to 3 in a row, and a chunk at each of them
    assert [last - first for first, last in chains_of(comb).levels] == [1, 3]
    binary = [(block - 1) // 2 for block in range(2**5 - 1)]
    binary[0] = -1
    assert len(chains_of([*binary, *range(15, 31)]).levels) == 5


def test_the_workspace_is_limited_unless_a_single_head_exceeds_it():
    nemotron_h_8b, nemotron_h_56b = (128, 4 * 64 * 128), (256, 4 * 64 * 256)
    assert [heads_at_once(254, *sizes) for sizes in (nemotron_h_8b, nemotron_h_56b)] == [64, 32]
    assert heads_at_once(3, *nemotron_h_8b) == 128
    assert heads_at_once(10**6, *nemotron_h_8b) == 1
    for heads, head_bytes in (nemotron_h_8b, nemotron_h_56b):
        for chunks in (1, 100, 8192):
            assert heads_at_once(chunks, heads, head_bytes) * chunks * head_bytes <= LARGEST_WORKSPACE
    assert workspace_bytes(16384, 128, 64, 128) == LARGEST_WORKSPACE + 12 * 16384 * 128


@pytest.mark.parametrize(("heads", "state"), [(128, 128), (256, 256)])
def test_the_estimate_of_a_pass_covers_the_workspace(heads, state):
    """It counts 22 bytes of float32 per channel and token, of which the kernels keep only their result."""
    config = {"mamba_num_heads": heads, "mamba_head_dim": 64, "hidden_size": 1, "intermediate_size": 1}
    needs = needs_by_config({**config, "vocab_size": 1}, 0, "bfloat16")
    for tokens in (4096, 16384):
        inputs_and_result = (5 * 2 + 4) * heads * 64 * tokens
        assert inputs_and_result + workspace_bytes(tokens, heads, 64, state) <= needs.activations(tokens)


def test_on_a_cpu_torch_computes_and_no_kernel_is_imported():
    tree, _ = tree_over([(1, 2, 3)])
    assert kernels.kernels_unsupported_reason("cpu")
    over_a_tree(tree)
    if "triton" not in sys.modules:
        assert not {
            "evalsuite.engine.native.trees.kernels.scan",
            "evalsuite.engine.native.trees.kernels.conv",
        } & set(sys.modules)


def test_kernels_that_do_not_run_are_not_used(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert kernels.kernels_unsupported_reason.__wrapped__("cuda") == "triton is not installed"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "evalsuite.engine.native.kernels.log_sums", raising=False)
    assert kernels.kernels_unsupported_reason.__wrapped__("cuda").startswith(
        "a trial ended in an error, ModuleNotFoundError"
    )


def test_the_kernels_are_part_of_what_answers_depend_on(tmp_path, monkeypatch):
    files = resolve(str(save(tiny_llama(), tmp_path)))
    assert TransformersEngine(files, device="cpu").identity.numerics == "transformers float32 cpu packed"
    as_a_gpu(monkeypatch)
    assert "scan=torch log-probs=kernels" in TransformersEngine(files, device="cpu").identity.numerics
