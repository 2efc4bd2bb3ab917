"""The layout of the package: rooms stand on floors, and no room imports from a floor above its own."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "evalsuite"

FLOORS = [
    "errors types offline latex progress",
    "files visible entry_points",
    "data checkpoints prompting sandbox stats",
    "task dcp megatron",
    "registry nemo",
    "engine",
    "engine.planning",
    "engine.native",
    "engine.tensor_parallel engine.openai engine.vllm engine.live",
    "engine.replicas",
    "requests",
    "scoring",
    "results",
    "runs prefetch",
    "decisions.compare decisions.seeds",
    "decisions.card decisions.gate decisions.trend",
    "report lm_eval_bridge",
    "export",
    "api doctor",
    "watch trainer",
    "cli",
]
"""From the ground up. A name is a folder or a module of `evalsuite/`; rooms of one floor do not know each
other."""


def modules() -> dict[str, Path]:
    """The package's modules by dotted name without `evalsuite.`; a package stands for its `__init__`."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Modules of the package that a module imports anywhere, but for types alone."""
    tree = ast.parse(path.read_text("utf-8"))
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "evalsuite":
            base = node.module.removeprefix("evalsuite").lstrip(".")
            for name in node.names:
                inner = f"{base}.{name.name}".lstrip(".")
                yield inner if inner in known else base
        elif isinstance(node, ast.Import):
            yield from (
                name.name.removeprefix("evalsuite.")
                for name in node.names
                if name.name.startswith("evalsuite.")
            )


def arrows() -> list[tuple[str, str]]:
    known = modules()
    return sorted(
        {(name, other) for name, path in known.items() for other in imports(path, known) if name != other}
    )


def floor_of(name: str) -> tuple[int, str]:
    """The floor of a module, and the room that it is in: the longest listed name that it begins with."""
    rooms = {room: floor for floor, line in enumerate(FLOORS) for room in line.split()}
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if (room := ".".join(parts[:length])) in rooms:
            return rooms[room], room
    raise AssertionError(f"evalsuite.{name} is in no room; add it to FLOORS and to the README.")


def upward(found: list[tuple[str, str]]) -> list[str]:
    """Arrows that run up, or to a neighbour on the same floor."""
    wrong = []
    for name, other in found:
        if not other or not name or name == "__main__":
            continue  # `evalsuite` itself opens its public functions when they are asked for
        (floor, room), (below, target) = floor_of(name), floor_of(other)
        if room != target and below >= floor:
            wrong.append(f"{name} imports {other}")
    return wrong


def test_no_room_imports_from_its_own_floor_or_one_above():
    assert upward(arrows()) == []


def test_an_import_that_runs_up_is_found():
    assert upward([("stats.paired", "results.runlog"), ("results.runlog", "stats.paired")]) == [
        "stats.paired imports results.runlog"
    ]
    assert upward([("engine.openai.wire", "engine.vllm.score")]) == [
        "engine.openai.wire imports engine.vllm.score"
    ]


def circle(found: list[tuple[str, str]]) -> list[str]:
    graph: dict[str, set[str]] = {}
    for name, other in found:
        graph.setdefault(name, set()).add(other)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_modules_import_each_other_in_a_circle():
    assert circle([(name, other) for name, other in arrows() if name and other]) == []


def test_a_circle_is_found():
    assert circle([("a", "b"), ("b", "c"), ("c", "a")])


def test_the_readme_shows_the_same_floors():
    readme = (ROOT / "README.md").read_text("utf-8")
    shown = re.search(r"<!-- floors -->\n```\n(.*?)```", readme, re.DOTALL)
    assert shown, "README.md has no list of floors"
    lines = [line.split("  ")[0].split() for line in shown[1].splitlines()]
    assert lines == [line.split() for line in FLOORS]


@pytest.mark.parametrize(("folder", "most"), [("", 12), ("engine", 10)])
def test_few_modules_lie_loose(folder, most):
    loose = [path.stem for path in (PACKAGE / folder).glob("*.py")]
    assert len(loose) <= most, loose


def test_importing_evalsuite_or_the_native_engine_imports_nothing_that_is_not_needed(tmp_path):
    import subprocess
    import sys

    code = (
        "import sys, evalsuite; assert 'torch' not in sys.modules; import "
        "evalsuite.engine.native.engine; print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert not {"torch", "transformers", "ray", "vllm", "httpx", "httpx2"} & set(done.stdout.split())
