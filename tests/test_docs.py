"""The documentation leads where it says: pages, links, shown files and commands."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from evalsuite.cli.app import app
from tests.shown_files import BLOCK, ROOT, as_it_should_be

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS]
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED = re.compile(
    r"(?<![\w./<>-])((?:evalsuite|tests|benchmarks|examples|results|docs)/[\w./-]+\.(?:py|json|md|yaml))\b"
)
FENCE = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def title(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """What a link may name behind `#`: the headings, as GitHub and MkDocs write them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken(page: Path, text: str) -> list[str]:
    """Relative links that lead to no file, or to no heading of a page."""
    wrong = []
    for link in LINK.findall(FENCE.sub("", text)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_every_relative_link_leads_to_a_file(page):
    assert broken(page, page.read_text("utf-8")) == []


def test_a_link_that_leads_nowhere_is_found():
    text = "[a](docs/nowhere.md) [b](docs/engines.md#nothing) [c](docs/engines.md#vllm) [d](https://evalsuite.example)"
    assert broken(ROOT / "README.md", text) == ["docs/nowhere.md", "docs/engines.md#nothing"]


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=title)
def test_every_file_of_the_repository_that_a_page_names_exists(page):
    named = NAMED.findall(page.read_text("utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_index_names_every_page_with_a_sentence():
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    said = dict(re.findall(r"^- \[[^\]]+\]\(([^)]+)\): (.+\.)$", index, re.MULTILINE))
    assert {page.name for page in DOCS} - {"index.md"} == {link for link in said if "/" not in link}


def test_the_site_has_every_page():
    site = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert {page.name for page in DOCS} == set(re.findall(r"[\w-]+\.md", site))


@pytest.mark.parametrize("page", [page for page in DOCS if BLOCK.search(page.read_text("utf-8"))], ids=title)
def test_a_shown_file_is_the_file(page):
    text = page.read_text("utf-8")
    assert text == as_it_should_be(text), "run `make docs`"


def commands(text: str) -> list[str]:
    """The `evalsuite` command lines of a page's code blocks."""
    blocks = "\n".join(FENCE.findall(text)).replace("\\\n", " ")
    found = (re.match(r"(?:\$ |torchrun .*-m )?evalsuite (.+)", line) for line in blocks.splitlines())
    return [match[1] for match in found if match]


def unknown(command: str) -> list[str]:
    """The verb of a command line, or options of it, that do not exist."""
    words = [word.strip("[]") for word in shlex.split(command, comments=True)]
    group = typer.main.get_command(app)
    verb = group.commands.get(words[0])
    holder = group if words[0].startswith("-") else verb
    if holder is None:
        return [words[0]]
    known = {option for parameter in holder.params for option in parameter.opts} | {"--help", "-h"}
    return [word for word in words if word.startswith("-") and word.partition("=")[0] not in known]


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_every_command_has_a_verb_and_options_that_exist(page):
    wrong = {line: bad for line in commands(page.read_text("utf-8")) if (bad := unknown(line))}
    assert wrong == {}


def test_a_command_that_does_not_exist_is_found():
    assert unknown("walk --tasks mmlu") == ["walk"]
    assert unknown("run --tasks mmlu --modle 8b   # a comment with --nothing") == ["--modle"]


def test_the_readme_has_the_test_command_that_ci_runs():
    readme = (ROOT / "README.md").read_text("utf-8")
    for script in (".ci/run", ".github/workflows/ci.yml"):
        assert "make test" in (ROOT / script).read_text("utf-8")
    assert "\nmake test " in readme
