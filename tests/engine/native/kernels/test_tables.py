"""The kernels' tables say what the walk says; nothing here needs Triton or a GPU."""

import sys
from itertools import pairwise

import pytest
from hypothesis import given

from evalsuite.checkpoints import resolve
from evalsuite.engine.native import kernels
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.trees import walk as tree_walk
from evalsuite.engine.native.trees.kernels.tables import tables_of
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
    assert (edges[0], edges[-1], tables.slots) == (0, len(tree.pack), walk.slots)
    assert tables.parents.tolist() == walk.parents.tolist()
    assert tables.ends.tolist() == tree.pack.ends.tolist()
    assert all(0 < stop - start <= chunk for start, stop in pairwise(edges))
    for one, row in zip(walk.chunks, tables.chunks.tolist(), strict=True):
        block, source, slot, first, last = row
        assert slice(*edges[block : block + 2]) == one.tokens
        assert (None if source < 0 else source, slot) == (one.source, one.slot)
        read = [edges[at : at + 2] for at in tables.readers[first:last].tolist()]
        assert [place for start, stop in read for place in range(start, stop)] == one.readers.tolist()


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
