"""Times attention over real packs by each implementation, and counts what each has to compute.

    python benchmarks/gpu_attention.py --data DIR [--works mmlu hellaswag] [--size 8b] [--tokens 16384]

Prints two Markdown tables with a row for each pack, or for each pack and implementation.

The first, which needs no GPU: the pack's tokens and nodes; levels of the cascade, and queries in all levels,
with every node as a level (before) and with short nodes repeated in front of their children; keys within
nodes, the repeated ones included, as a share of the tokens; FlexAttention's tiles, and how many times as many
a causal mask would have. Then what one layer takes in bfloat16 with the heads of the model of `--size`, by
reckoning: bytes that the cascade and FlexAttention read and write, copies included, as if each tensor were
read once by each launch; and the operations of FlexAttention's tiles.

The second: the seconds of the first call (compilation), milliseconds of a layer's attention after it, and the
largest difference from torch's functions as a share of the largest value; or why the device cannot run it,
or its error. Each row is printed as soon as it is known.
Queries, keys and values are random, with the heads of the model of `--size`.

`--device cpu --size tiny --tokens 600 --documents 2` runs the same code within a minute: FlexAttention is not
compiled there, and the cascade needs a GPU.
"""

import argparse
import functools
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from gpu_tables import Tables, measured
from random_model import SIZES, write_folder
from versus_lm_eval import WORKLOADS, selected_documents

from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.memory import free_memory
from evalsuite.engine.native.paths import CANDIDATES, PLAIN
from evalsuite.engine.native.reach import Reach
from evalsuite.engine.native.trees import attention
from evalsuite.engine.native.trees.flex import padded_size
from evalsuite.engine.native.trees.levels import Levels, levels_of
from evalsuite.engine.native.trees.tiles import TILE, tiles_of
from evalsuite.engine.native.trees.tree import Tree, tree_of
from evalsuite.engine.planning.pack import Pack, lay_requests
from evalsuite.engine.planning.plan import plan_packs
from evalsuite.errors import UserError
from evalsuite.requests.build import build_requests
from evalsuite.types import ScoreRequest

COUNT_COLUMNS = (
    "work",
    "tokens",
    "nodes",
    "levels before",
    "levels",
    "queries before",
    "queries",
    "own keys / tokens",
    "tiles",
    "causal / tiles",
    "cascade GB",
    "flex GB",
    "flex GFLOP",
)
TIME_COLUMNS = ("work", "tokens", "attention", "first s", "ms a layer", "difference")
REPEATS = 20


def packs_of(name: str, engine: TransformersEngine, options: argparse.Namespace) -> list[Pack]:
    """The first packs of a workload, in the order of the plan."""
    prepared = selected_documents(
        WORKLOADS[name], options.data, documents=options.documents, members=options.members
    )
    built = build_requests(prepared, engine.tokenizer, engine.max_length, 0)
    requests = dict.fromkeys(
        one for document in built for one in document.requests if isinstance(one, ScoreRequest)
    )
    plan = plan_packs([*requests], options.tokens)
    return [lay_requests(plan, run)[0] for run in plan.runs[: options.packs]]


def reckoned(pack: Pack, shape: dict[str, int], cut: Levels, tiles: int) -> tuple[float, float, float]:
    """Bytes of a layer by the cascade and by FlexAttention, and operations of the latter's tiles."""
    head = 2 * shape["head_dim"]  # bytes
    q, kv = shape["num_attention_heads"] * head, 2 * shape["num_key_value_heads"] * head
    tokens, size, keys = len(pack), padded_size(len(pack)), len(cut.own.keys)
    cascade = 2 * tokens * q + keys * kv + (keys > tokens) * 2 * keys * kv
    for level in cut.levels:
        queries, keys = len(level.queries), len(level.keys)
        # Gathered and read; the output is written, and read again with the row's own, which is written.
        cascade += queries * (3 + 1 + 3) * q + 3 * keys * kv
    padding = (tokens + size) * (q + kv)
    flex = padding + 2 * size * q + size * kv
    return cascade, flex, tiles * TILE**2 * 2 * head * shape["num_attention_heads"]


def counts(name: str, pack: Pack, shape: dict[str, int]) -> tuple[str, ...]:
    """A row of the first table."""
    before, after = levels_of(pack, Reach(), 0), levels_of(pack, Reach())
    tiles = tiles_of(pack, Reach(), padded_size(len(pack)))
    real = tiles_of(pack, Reach(), -(-len(pack) // TILE) * TILE)
    return (
        name,
        f"{len(pack):,}",
        f"{len(pack.nodes.starts):,}",
        str(len(before.levels)),
        str(len(after.levels)),
        *(f"{sum(len(level.queries) for level in one.levels):,}" for one in (before, after)),
        f"{len(after.own.keys) / len(pack):.2f}",
        f"{tiles.visited:,}",
        f"{real.of_causal:.1f}",
        *(f"{value / 1e9:.2f}" for value in reckoned(pack, shape, after, tiles.visited)),
    )


def times(name: str, pack: Pack, options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """Rows of the second table."""
    shape, dtype = SIZES[options.size], getattr(torch, options.dtype)
    random = torch.Generator().manual_seed(0)
    heads, groups = shape["num_attention_heads"], shape["num_key_value_heads"]
    query, key, value = (
        # As a model's projections give them: tokens first in memory.
        torch.randn(1, len(pack), count, shape["head_dim"], generator=random)
        .to(options.device, dtype)
        .transpose(1, 2)
        for count in (heads, groups, groups)
    )
    expected: list[torch.Tensor] = []
    why_not = {one.name: one.why_not(options.device, options.dtype) for one in CANDIDATES["attention"]}
    if options.device == "cpu":
        why_not["flex"] = ""  # not compiled

    def cells(path: str) -> tuple[str, ...]:
        if reason := why_not.get(path):
            return "—", "—", reason
        tree = tree_of(pack, options.device, replace(PLAIN, attention=path))
        first, _ = _seconds(tree, (query, key, value), 1)
        seconds, found = _seconds(tree, (query, key, value), REPEATS)
        expected.append(found.float())
        difference = (found.float() - expected[0]).abs().max() / expected[0].abs().max()
        return f"{first:.2f}", f"{1000 * seconds:.2f}", f"{difference.item():.1e}"

    for path in (PLAIN.attention, *why_not):
        told = name, f"{len(pack):,}", path
        yield measured(told, len(TIME_COLUMNS), functools.partial(cells, path), free_memory)


@torch.inference_mode()
def _seconds(tree: Tree, inputs: Sequence[torch.Tensor], repeats: int) -> tuple[float, torch.Tensor]:
    """Seconds of one call, and its output."""
    attention._current.tree = tree
    _wait(tree)
    began = time.perf_counter()
    for _ in range(repeats):
        found, _weights = attention.tree_attention(torch.nn.Module(), *inputs, None)
    _wait(tree)
    return (time.perf_counter() - began) / repeats, found


def _wait(tree: Tree) -> None:
    if tree.ids.is_cuda:
        torch.cuda.synchronize()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--works", nargs="+", choices=WORKLOADS, default=["mmlu", "hellaswag"])
    parser.add_argument("--documents", type=int, default=200, help="documents of each member task")
    parser.add_argument("--members", type=int, default=8, help="member tasks (MMLU's subjects)")
    parser.add_argument("--packs", type=int, default=3, help="of each workload")
    parser.add_argument("--tokens", type=int, default=2**14, help="of a pack")
    parser.add_argument("--size", choices=SIZES, default="8b")
    parser.add_argument("--tokenizer", default="smollm2-135m", help="a model, or a folder with a tokenizer")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--only-count", action="store_true", help="print the first table alone")
    parser.add_argument("--out", type=Path, metavar="FILE", help="append each row to this file, as JSON")
    options = parser.parse_args()
    try:
        run(options)
    except UserError as error:
        raise SystemExit(str(error)) from error


def run(options: argparse.Namespace) -> None:
    """Count and time, and print each row as it comes."""
    tables = Tables(options.out)
    with tempfile.TemporaryDirectory() as folder:
        files = write_folder(Path(folder), options.size, options.tokenizer)
        engine = TransformersEngine(files, device="cpu")
        packs = [(name, pack) for name in options.works for pack in packs_of(name, engine, options)]
    tables.begin("packs", COUNT_COLUMNS)
    for name, pack in packs:
        tables.row(counts(name, pack, SIZES[options.size]))
    if options.only_count:
        return
    tables.begin("attention", TIME_COLUMNS)
    for name, pack in packs:
        for row in times(name, pack, options):
            tables.row(row)


if __name__ == "__main__":
    main()
