"""Each part falls back alone, and no answer is found under another path than the one that computed it."""

import contextlib
import sys
from dataclasses import replace

import pytest
import torch
from torch.nn.attention import varlen

from evalsuite.checkpoints import resolve
from evalsuite.engine.native import paths, score_packed
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.models.packages import missing_package_notes
from evalsuite.engine.native.paths import PARTS, PLAIN, Candidate, Paths, fastest
from evalsuite.engine.native.slots import forward
from evalsuite.engine.native.trees import mamba
from evalsuite.engine.native.trials import fit, graphs
from evalsuite.engine.native.trials.parts import fitted_parts, missing_notes, without_unused
from evalsuite.engine.protocol import answers_in
from evalsuite.errors import ModelError
from evalsuite.results.store import request_key
from evalsuite.types import GenerateRequest, ScoreRequest
from tests.engine.native.hybrids import HYBRIDS, nemotron_h
from tests.engine.native.slots.recording import RunAgain, StandIn
from tests.engine.native.stand_ins import (
    KERNELS,
    SLOT_KERNELS,
    as_a_gpu,
    by_torch,
    prompt_scan,
    put,
    state_update,
)
from tests.engine.native.trees import varlen_plain
from tests.engine.tiny import loaded, save, tiny_llama

TORCH = "torch-" + ".".join(torch.__version__.split(".")[:2])
FAST = Paths(
    attention="levels",
    scan="kernels",
    log_probs="kernels",
    pointwise="kernels",
    prompts="kernels",
    steps="kernels",
    graphs="cuda",
)
SCORES = [ScoreRequest((*range(2, 12), last), (4, 9)) for last in (20, 30, 40)]
TEXTS = [GenerateRequest((*range(2, 9), last), (), 20) for last in (20, 30)]


@pytest.fixture
def gpu(monkeypatch) -> None:
    as_a_gpu(monkeypatch)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return resolve(str(save(HYBRIDS["bamba"](), tmp_path_factory.mktemp("hybrid"))))


@pytest.fixture(scope="module")
def fastest_run(files, tmp_path_factory):
    """The answers, and the key of one of them, where every part is the fastest."""
    path = tmp_path_factory.mktemp("forms") / "forms.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evalsuite.engine.native.trials.forms.forms_path", lambda: path)
        as_a_gpu(patch)
        engine = engine_of(files)
        return answers_of(engine), key_of(engine)


def engine_of(files, **options) -> TransformersEngine:
    return TransformersEngine(files, device="cpu", **options)


def answers_of(engine) -> dict:
    return dict(answers_in(engine.score(SCORES))) | dict(answers_in(engine.generate(TEXTS)))


def key_of(engine) -> bytes:
    return request_key(SCORES[0], engine.identity)


def class_of(parts: Paths) -> str:
    return " ".join(("transformers float32 cpu packed", *parts.words, TORCH))


@pytest.mark.parametrize("make", [tiny_llama, nemotron_h])
def test_on_a_cpu_the_class_of_numerics_is_what_it_always_was(make, tmp_path):
    """Stored answers of CPU runs stay valid."""
    files = resolve(str(save(make(), tmp_path)))
    assert engine_of(files).expected_identity.numerics == "transformers float32 cpu packed"
    assert engine_of(files).identity.numerics == "transformers float32 cpu packed"
    assert engine_of(files, packed=False).identity.numerics == "transformers float32 cpu"
    assert engine_of(files, arguments={"graphs": "no"}).identity == engine_of(files).identity


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_on_a_cpu_no_part_has_a_usable_candidate(dtype):
    assert fastest("cpu", dtype) == PLAIN


@pytest.mark.usefixtures("gpu")
def test_the_class_names_the_path_of_each_part(files):
    engine = engine_of(files)
    assert engine.expected_identity.numerics == class_of(FAST)
    assert engine.identity.numerics == class_of(FAST)
    assert engine.notes == ()
    answers_of(engine)
    assert engine.generator.graphing.replayed


@pytest.mark.usefixtures("gpu")
def test_a_part_that_no_layer_uses_is_plain_and_needs_no_note(llama_files):
    engine = engine_of(llama_files)
    assert engine.identity.numerics == class_of(FAST.plain_in("scan", "prompts", "steps"))
    assert engine.notes == ()


@pytest.mark.usefixtures("gpu")
def test_parts_that_a_form_or_an_option_excludes_are_plain_and_need_no_note(llama_files):
    batches = engine_of(llama_files, packed=False)
    words = FAST.plain_in("attention", "scan", "pointwise", "prompts", "steps").words
    assert batches.identity.numerics == " ".join(("transformers float32 cpu", *words, TORCH))
    rounded = engine_of(llama_files, logits_dtype="model").identity.numerics.split()
    assert {"attention=levels", "log-probs=torch", "rounded-scores"} <= {*rounded}
    steady = engine_of(llama_files, arguments={"deterministic": "yes"})
    assert "graphs=none" in steady.tried.numerics(steady.tried.expected_forms).split()
    assert batches.notes == ()


def broken(*args, **options):
    raise RuntimeError("no kernel image is available\nfor this device")


def unscaled(*args, **options):
    return varlen_plain.varlen_attn(*args, **{**options, "scale": 1.0})


def without_bias(walk, hidden, weight, bias, *rest, **options):
    return mamba.tree_conv(walk, hidden, weight)


def too_low(logits, row, token):
    log_probs, best = by_torch(logits, row, token)
    return log_probs - 0.01, best


def best_of_none(logits, row, token):
    log_probs, best = by_torch(logits, row, token)
    return log_probs, torch.zeros_like(best)


class Other(RunAgain):
    def replay(self):
        return super().replay().flip(-1)


class Refusing(StandIn):
    def record(self, step, beside):
        broken()


def broken_kernels(model, path, used=lambda: None):
    return broken() if path == "kernels" else contextlib.nullcontext()


def forgets(state, *args, **options):
    return state_update(state.clone(), *args, **options)


def from_zeros(*args, initial_states, **options):
    return prompt_scan(*args, **options)


def refusing(device):
    return Refusing()


def misleading(device):
    return StandIn(Other)


FALLBACKS = {
    "attention, broken": ("attention", lambda patch: patch.setattr(varlen, "varlen_attn", broken)),
    "attention, wrong": ("attention", lambda patch: patch.setattr(varlen, "varlen_attn", unscaled)),
    "scan, broken": ("scan", lambda patch: put(patch, f"{KERNELS}.scan", path_scan=broken)),
    "scan, wrong": ("scan", lambda patch: put(patch, f"{KERNELS}.conv", path_conv=without_bias)),
    "log_probs, broken": ("log_probs", lambda patch: put(patch, LOG_SUMS, read_tokens=broken)),
    "log_probs, wrong": ("log_probs", lambda patch: put(patch, LOG_SUMS, read_tokens=too_low)),
    "log_probs, best": ("log_probs", lambda patch: put(patch, LOG_SUMS, read_tokens=best_of_none)),
    "pointwise, broken in trees": (
        "pointwise",
        lambda patch: patch.setattr(score_packed, "pointwise_by", broken_kernels),
    ),
    "pointwise, broken in slots": (
        "pointwise",
        lambda patch: patch.setattr(forward, "pointwise_by", broken_kernels),
    ),
    "prompts, broken": (
        "prompts",
        lambda patch: put(patch, f"{SLOT_KERNELS}.prompt_scan", prompt_scan=broken),
    ),
    "prompts, wrong": (
        "prompts",
        lambda patch: put(patch, f"{SLOT_KERNELS}.prompt_scan", prompt_scan=from_zeros),
    ),
    "steps, broken": ("steps", lambda patch: put(patch, f"{SLOT_KERNELS}.conv_update", conv_update=broken)),
    "steps, wrong": ("steps", lambda patch: put(patch, f"{SLOT_KERNELS}.state_update", state_update=forgets)),
    "graphs, broken": ("graphs", lambda patch: patch.setattr(graphs, "recorder_for", refusing)),
    "graphs, wrong": ("graphs", lambda patch: patch.setattr(graphs, "recorder_for", misleading)),
}
LOG_SUMS = "evalsuite.engine.native.kernels.log_sums"
WORK = {
    "attention": "attention over packed trees: computed by torch, not by levels",
    "scan": "Mamba-2 over packed trees: computed by torch, not by kernels",
    "log_probs": "log-probabilities: computed by torch, not by kernels",
    "pointwise": "norms, activations and rotary embeddings: computed by model, not by kernels",
    "prompts": "Mamba-2 over prompts: computed by model, not by kernels",
    "steps": "Mamba-2 in decode steps: computed by model, not by kernels",
    "graphs": "capture of decode steps: computed by none, not by cuda",
}


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("name", FALLBACKS)
def test_one_part_falls_back_alone_in_a_class_of_its_own(files, fastest_run, monkeypatch, name):
    part, spoil = FALLBACKS[name]
    expected, fast = fastest_run
    spoil(monkeypatch)
    engine = engine_of(files)
    assert engine.identity.numerics == class_of(FAST.plain_in(part))
    assert key_of(engine) != fast
    (note,) = engine.notes
    assert note.startswith(f"{WORK[part]} (")
    assert ("no kernel image is available" if "broken" in name else "") in note
    assert "\n" not in note
    answers = answers_of(engine)
    assert [answers[one].text for one in TEXTS] == [expected[one].text for one in TEXTS]
    for one in SCORES:
        assert answers[one].log_probs == pytest.approx(expected[one].log_probs, abs=1e-4)
        assert answers[one].is_greedy == expected[one].is_greedy
    again = engine_of(files)
    assert again.tried.is_known
    assert again.identity == engine.identity
    again.load()
    assert again.notes == engine.notes


@pytest.mark.usefixtures("gpu")
def test_no_two_ways_to_compute_share_a_key(files, fastest_run, monkeypatch):
    keys = [fastest_run[1], key_of(engine_of(files, packed=False))]
    keys.append(key_of(engine_of(files, arguments={"graphs": "no"})))
    monkeypatch.setattr(paths, "CANDIDATES", dict.fromkeys(PARTS, ()))
    keys.append(key_of(engine_of(files)))
    assert len(set(keys)) == 4
    # Each part by itself: `test_one_part_falls_back_alone_in_a_class_of_its_own`.


@pytest.mark.usefixtures("gpu")
def test_a_part_that_fails_under_a_remembered_path_stops_the_run_by_name(files, monkeypatch):
    fast = engine_of(files).identity
    monkeypatch.setattr(varlen, "varlen_attn", unscaled)
    engine = engine_of(files)
    assert engine.identity == fast
    with pytest.raises(ModelError, match=r"earlier run found \(attention torch; not attention levels\)"):
        answers_of(engine)
    assert engine_of(files).identity.numerics == class_of(FAST.plain_in("attention"))
    answers_of(engine_of(files))


@pytest.mark.usefixtures("gpu")
def test_a_part_that_fell_back_once_stays_so_and_its_answers_are_found(files, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(varlen, "varlen_attn", broken)
        slow = engine_of(files)
        assert "attention=torch" in slow.identity.numerics
    engine = engine_of(files)
    assert engine.identity == slow.identity
    answers_of(engine)
    assert engine.notes == slow.notes


@pytest.mark.usefixtures("gpu")
def test_a_capture_that_fails_during_the_run_leaves_the_class_as_it_is(files):
    engine = engine_of(files)
    before = engine.identity
    engine.generator.graphing.recorder = Refusing()
    answers_of(engine)
    assert engine.identity == before
    (note,) = engine.notes
    assert note == "no more decode steps are captured as graphs: no kernel image is available"


def test_a_second_candidate_is_tried_after_the_first(monkeypatch):
    monkeypatch.setattr(
        paths, "CANDIDATES", {**paths.CANDIDATES, "attention": (candidate("flex"), candidate("levels"))}
    )
    ready = replace(loaded(tiny_llama()), paths=Paths(attention="flex", scan="kernels"))
    found = fitted_parts(ready, ("attention",), lambda one: "off" if one.paths.attention == "flex" else "")
    assert found.ready.paths == Paths(attention="levels", scan="kernels")
    assert found.notes == ("attention over packed trees: computed by levels, not by flex (off)",)
    slower = replace(ready, paths=Paths(attention="levels"))
    tried = []
    fitted_parts(slower, ("attention",), lambda one: tried.append(one.paths.attention) or "off")
    assert tried == ["levels", "torch"]


def candidate(name: str) -> Candidate:
    return Candidate(name, lambda device, dtype: "")


def test_what_only_fails_together_keeps_the_first_of_the_parts(monkeypatch):
    tried = {part: (candidate("kernels"),) for part in ("scan", "pointwise")}
    monkeypatch.setattr(paths, "CANDIDATES", {**paths.CANDIDATES, **tried})
    ready = replace(loaded(tiny_llama()), paths=Paths(scan="kernels", pointwise="kernels"))
    both = lambda one: "both" if (one.paths.scan, one.paths.pointwise) == ("kernels", "kernels") else ""  # noqa: E731
    found = fitted_parts(ready, ("scan", "pointwise"), both)
    assert found.ready.paths == Paths(scan="kernels")
    assert len(found.notes) == 1
    assert fitted_parts(ready, ("scan",), lambda one: "never").problem == "never"


def test_an_implementation_that_no_layer_fits_is_named():
    ready = replace(loaded(tiny_llama()), paths=Paths(attention="levels", scan="kernels"))
    found = without_unused(ready, {("attention", "torch")}, ("attention", "scan"))
    assert found.ready.paths == PLAIN
    (note,) = found.notes
    assert (
        note
        == "attention over packed trees: computed by torch, not by levels (no layer of the model fits it)"
    )


@pytest.mark.parametrize(
    ("make", "work"),
    [
        (tiny_llama, "attention over packed trees, log-probabilities"),
        (
            nemotron_h,
            "attention over packed trees, Mamba-2 over packed trees, log-probabilities, "
            "Mamba-2 over prompts, Mamba-2 in decode steps",
        ),
    ],
)
def test_a_gpu_without_triton_gets_one_note_on_the_parts_that_the_model_has(monkeypatch, make, work):
    missing = Candidate("kernels", lambda device, dtype: "triton is not installed")
    parts = ("attention", "scan", "log_probs", "prompts", "steps")
    monkeypatch.setattr(paths, "CANDIDATES", dict.fromkeys(PARTS, ()) | dict.fromkeys(parts, (missing,)))
    ready = replace(loaded(make()), device="cuda:0")
    assert [*missing_notes(ready)] == [f"computed without kernels (triton is not installed): {work}"]
    assert not [*missing_notes(loaded(make()))]


def test_a_recurrent_model_on_a_gpu_without_packages_gets_a_note_on_what_they_would_compute(monkeypatch):
    monkeypatch.setitem(sys.modules, "mamba_ssm", None)
    work = ["prompts of texts", "padded batches"]
    (note,) = missing_package_notes({"model_type": "nemotron_h"}, "cuda:0", work)
    assert "code for prompts of texts and padded batches, which is slow: mamba_ssm cannot be imported" in note
    for config, device, of in [
        ("nemotron_h", "cpu", work),
        ("llama", "cuda", work),
        ("nemotron_h", "cuda", []),
    ]:
        assert not [*missing_package_notes({"model_type": config}, device, of)]


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("packed", "scan", "expected"),
    [
        (True, prompt_scan, []),
        (True, broken, ["prompts of texts"]),
        (False, prompt_scan, ["padded batches"]),
    ],
)
def test_transformers_own_recurrences_run_where_no_kernel_does(files, monkeypatch, packed, scan, expected):
    found = []
    monkeypatch.setattr(fit, "missing_package_notes", lambda config, device, work: found.append(work) or ())
    put(monkeypatch, f"{SLOT_KERNELS}.prompt_scan", prompt_scan=scan)
    engine_of(files, packed=packed).load()
    assert found == [expected]
