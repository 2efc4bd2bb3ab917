"""Every name that a package offers in `__all__` exists and says what it is; read from the source, so that
nothing heavy loads."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import evalsuite

ROOT = Path(__file__).parents[1]


def source_of(module: str) -> Path:
    """The file of `evalsuite.data` or `evalsuite.data.refs`."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def offered(tree: ast.Module) -> list[str]:
    """What a module's `__all__` names."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return []


def names_of(node: ast.stmt) -> list[str]:
    """The names that an assignment binds."""
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    return [target.id for target in targets if isinstance(target, ast.Name)]


def described(module: str, name: str) -> str | None:
    """The docstring of a name, of a constant the text below it; None where the module does not have the
    name."""
    body = ast.parse(source_of(module).read_text("utf-8")).body
    body += [inner for node in body if isinstance(node, ast.If) for inner in node.body]
    for node, below in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return ast.get_docstring(node) or ""
        if name in names_of(node):
            text = below.value if isinstance(below, ast.Expr) else None
            return str(text.value) if isinstance(text, ast.Constant) and isinstance(text.value, str) else ""
        if isinstance(node, ast.ImportFrom) and node.module:
            for imported in node.names:
                if (imported.asname or imported.name) == name:
                    return described(node.module, imported.name)
    return None


PUBLIC = [
    (module, name)
    for path in sorted((ROOT / "evalsuite").rglob("*.py"))
    for module in [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")]
    for name in offered(ast.parse(path.read_text("utf-8")))
]


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_every_public_name_exists_and_is_documented(module, name):
    text = described(module, name)
    assert text is not None, f"{module} has no {name}"
    assert text.strip(), f"{module}.{name} has no docstring"


def test_a_name_without_a_docstring_or_without_a_home_is_found():
    assert ("evalsuite", "run") in PUBLIC
    assert described("evalsuite", "walk") is None
    assert described("evalsuite.engine.engines", "_known") == ""


def test_every_name_on_the_page_about_python_exists_and_is_documented():
    shown = re.findall(r"^::: (\S+)$", (ROOT / "docs/api.md").read_text("utf-8"), re.MULTILINE)
    assert len(shown) > 20
    assert [name for name in shown if not described(*name.rsplit(".", 1))] == []


def test_the_package_opens_each_of_its_names():
    assert sorted(evalsuite._HOMES) == evalsuite.__all__
    for name in evalsuite.__all__:
        assert getattr(evalsuite, name) is not None


SAME_MEANING = {
    "KIND": "the object that an entry point names",
    "SETTINGS": "an engine's settings that can change an answer",
    "TUNING": "an engine's settings that cannot",
    "main": "what a process starts with",
}
"""Names that several modules define on purpose, each with one meaning."""


def definitions(tree: ast.Module) -> Iterator[str]:
    """Public names that a module defines at its top: classes, functions, aliases of types and constants."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        else:
            names = [] if "TypeVar" in ast.dump(node) else names_of(node)
        yield from (name for name in names if not name.startswith("_"))


def given_twice(sources: Mapping[str, str]) -> dict[str, list[str]]:
    """Modules by the public name that they define with different meanings.

    A constant that no other module imports is its module's own. A command has the name of what it calls.
    """
    trees = {module: ast.parse(source) for module, source in sources.items()}
    imported = {
        alias.name
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    found: dict[str, list[str]] = {}
    for module, tree in trees.items():
        for name in definitions(tree):
            command = module.startswith("cli.") and name == module.removeprefix("cli.")
            own = name.isupper() and name not in imported
            if not (command or own or name in SAME_MEANING):
                found.setdefault(name, []).append(module)
    return {name: modules for name, modules in found.items() if len(modules) > 1}


def test_no_public_name_has_two_meanings():
    package = Path(evalsuite.__file__).parent
    sources = {
        ".".join(path.relative_to(package).with_suffix("").parts): path.read_text("utf-8")
        for path in package.rglob("*.py")
    }
    assert given_twice(sources) == {}


def test_a_name_that_is_given_twice_is_found():
    once = {"a": "class Row: ...\nLIMIT = 1", "b": "def row(): ...\nLIMIT = 2"}
    assert given_twice(once) == {}
    twice = {**once, "c": "from a import LIMIT\nRow = tuple[int, ...]"}
    assert given_twice(twice) == {"Row": ["a", "c"], "LIMIT": ["a", "b"]}
    assert given_twice({"cli.gate": "def gate(): ...", "decisions.gate": "def gate(): ..."}) == {}
