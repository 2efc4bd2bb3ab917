import gzip
import json
from dataclasses import replace

import pytest
import yaml

from evalsuite.errors import UserError
from evalsuite.prompting.exemplars import read_exemplars
from evalsuite.prompting.render import Renderer
from evalsuite.prompting.shots import Exemplars
from evalsuite.prompting.spec import PromptSpec
from evalsuite.types import Document, OpenAnswer, sha256_of
from tests.golden.golden import needs_package

EXEMPLARS = {
    "package": "acme-prompts",
    "file": "acme_prompts/sums.yaml",
    "at": "fewshot.samples",
    "replace": [{"pattern": r"Answer: (\d+)\.", "by": r"So \1."}],
    "prefix_sha256": sha256_of("Q: 1+1\nA: So 2.\n\nQ: 2+2\nA: So 4.\n\n"),
}
SAMPLES = [{"question": "1+1", "target": "Answer: 2."}, {"question": "2+2", "target": "Answer: 4."}]
DOCUMENT = Document(0, "", 0, {}, OpenAnswer("3+3", ("6",)))


@pytest.fixture
def acme(tmp_path, monkeypatch):
    """An installed distribution that publishes two exemplars, in a file with a tag of another harness."""
    info = tmp_path / "acme_prompts-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-prompts\nVersion: 1.0\n", "utf-8")
    file = tmp_path / "acme_prompts" / "sums.yaml"
    file.parent.mkdir()
    file.write_text(
        "filter: !function utils.f\n" + yaml.safe_dump({"fewshot": {"samples": SAMPLES}}), "utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return file


def spec(count: int = 2, **changes) -> PromptSpec:
    return PromptSpec(
        recipe="ours",
        task="sums",
        version=1,
        source={"status": "ours"},
        format="generate",
        question="Q: {{ stem }}\nA:",
        answer="{{ solution }}",
        shots={"count": count, "exemplars": EXEMPLARS | changes},
        generation={},
        scorer="exact_match",
        metrics=["exact_match"],
    )


def rendered(spec: PromptSpec, **options) -> str:
    return Renderer(spec, lambda row: DOCUMENT.question).prompt(DOCUMENT, [], **options).contexts[0]


@pytest.mark.usefixtures("acme")
def test_exemplars_are_read_from_the_package_and_transformed():
    texts = [(one.stem, one.solution) for one, _ in read_exemplars(Exemplars(**EXEMPLARS)).examples]
    assert texts == [("1+1", "So 2."), ("2+2", "So 4.")]
    assert rendered(spec()) == "Q: 1+1\nA: So 2.\n\nQ: 2+2\nA: So 4.\n\nQ: 3+3\nA:"


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(("count", "options"), [(1, {}), (2, {"most_shots": 1})])
def test_fewer_shots_are_the_first_exemplars(count, options):
    assert rendered(spec(count), **options) == "Q: 1+1\nA: So 2.\n\nQ: 3+3\nA:"


@pytest.mark.usefixtures("acme")
def test_no_shots_leave_the_exemplars_out():
    assert rendered(spec(0)) == "Q: 3+3\nA:"


@pytest.mark.usefixtures("acme")
def test_more_shots_than_exemplars_are_an_error():
    with pytest.raises(UserError, match="ours/sums has 2 exemplars, too few for 3 shots"):
        rendered(spec(3))


def test_a_changed_exemplar_is_an_error_that_names_the_package(acme):
    acme.write_text(acme.read_text("utf-8").replace("1+1", "1 + 1"), "utf-8")
    with pytest.raises(UserError, match="from acme-prompts differ from the published ones"):
        rendered(spec())


def test_a_package_that_is_not_installed_is_named_with_the_remedy():
    with pytest.raises(UserError, match="not installed: pip install acme-prompts"):
        rendered(spec())


@pytest.mark.usefixtures("acme")
def test_a_file_that_the_package_lacks_is_named():
    with pytest.raises(UserError, match=r"acme-prompts 1\.0 has no file acme_prompts/other\.yaml"):
        rendered(spec(file="acme_prompts/other.yaml"))


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize("at", ["fewshot.examples", "filter.samples", "fewshot.samples.0"])
def test_a_file_of_another_layout_is_an_error(at):
    with pytest.raises(UserError, match=rf"no list of exemplars at '{at}'"):
        rendered(spec(at=at))


def of_two_members(acme, **changes) -> PromptSpec:
    """Each member task has a file of its own, the second with one example fewer."""
    for member, samples in (("plus", SAMPLES), ("minus", SAMPLES[:1])):
        content = {"told": f"{member}!\n", "fewshot": {"samples": samples}}
        acme.with_name(f"{member}.yaml").write_text(yaml.safe_dump(content), "utf-8")
    own = {
        "plus": sha256_of("plus!\nQ: 1+1\nA: So 2.\n\nQ: 2+2\nA: So 4.\n\n"),
        "minus": sha256_of("minus!\nQ: 1+1\nA: So 2.\n\n"),
    }
    file = {"file": "acme_prompts/{member}.yaml", "description": "told", "prefix_sha256": own}
    return spec(**file | changes)


@pytest.mark.parametrize(
    ("member", "shots"),
    [("plus", "Q: 1+1\nA: So 2.\n\nQ: 2+2\nA: So 4.\n\n"), ("minus", "Q: 1+1\nA: So 2.\n\n")],
)
def test_member_tasks_have_examples_and_descriptions_of_their_own(acme, member, shots):
    renderer = Renderer(of_two_members(acme), lambda row: DOCUMENT.question)
    document = replace(DOCUMENT, member=member)
    assert renderer.prompt(document, []).contexts[0] == f"{member}!\n{shots}Q: 3+3\nA:"
    assert renderer.exemplar_count(member) == shots.count("Q: ")


def test_a_member_task_without_examples_is_an_error(acme):
    renderer = Renderer(of_two_members(acme), lambda row: DOCUMENT.question)
    with pytest.raises(UserError, match="ours/sums has no exemplars of the member task 'times'"):
        renderer.prompt(replace(DOCUMENT, member="times"), [])


def test_a_changed_description_is_an_error(acme):
    with pytest.raises(UserError, match="from acme-prompts differ from the published ones"):
        Renderer(of_two_members(acme, description=""), lambda row: DOCUMENT.question)


@pytest.mark.usefixtures("acme")
def test_examples_of_another_version_are_named_with_the_command_that_installs_it():
    assert rendered(spec(version="1.0")).startswith("Q: 1+1")
    with pytest.raises(UserError, match=r"acme-prompts 2\.0, .*pip install --no-deps --target"):
        rendered(spec(version="2.0"))


@needs_package("lm-eval")
def test_the_eight_exemplars_of_gsm8k_are_the_published_ones():
    from evalsuite.registry.registry import Registry

    [selected] = Registry.load().select(["nemotron_h/gsm8k"])
    text = Renderer(selected.spec, selected.task.question).prompt(DOCUMENT, []).contexts[0]
    assert text.count("So the answer is \\boxed{") == 8


CONTEXTS = ["S1\nA: 1\n\nS2\nA: 2\n\nSky?\nA:", "S1\nA: 1\n\nS2\nA: 2\n\nSun?\nA:", "A:"]


@pytest.fixture
def dump(acme):
    """A dump of requests in the same distribution; its last context is that of unconditional requests."""
    lines = [json.dumps({"request": {"context": text, "continuation": " 1"}}) for text in CONTEXTS]
    with gzip.open(acme.with_name("requests.jsonl.gz"), "wt", encoding="utf-8") as file:
        file.write("\n".join(lines))


DUMPED = {
    "file": "acme_prompts/requests.jsonl.gz",
    "prefix_sha256": sha256_of("S1\nA: 1\n\nS2\nA: 2\n\n"),
}


@pytest.mark.usefixtures("dump")
@pytest.mark.parametrize(("count", "shots"), [(2, "S1\nA: 1\n\nS2\nA: 2\n\n"), (1, "S1\nA: 1\n\n"), (0, "")])
def test_the_shots_of_a_dump_are_the_common_beginning_of_its_contexts_cut_at_the_separator(count, shots):
    assert rendered(spec(2, **DUMPED), most_shots=count) == shots + "Q: 3+3\nA:"
    assert rendered(spec(count, **DUMPED)) == shots + "Q: 3+3\nA:"


@pytest.mark.usefixtures("dump")
def test_more_shots_than_a_dump_has_are_an_error():
    with pytest.raises(UserError, match="ours/sums has 2 exemplars, too few for 3 shots"):
        rendered(spec(3, **DUMPED))


@pytest.mark.usefixtures("dump")
def test_shots_of_another_dump_are_an_error():
    with pytest.raises(UserError, match="the shots from acme-prompts differ from the published ones"):
        rendered(spec(2, **DUMPED | {"prefix_sha256": "0" * 64}))
