"""The engine over models of full size on a pretended GPU; nothing is read, and nothing is tried."""

import functools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.native.differences import allowed_difference
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.loading.load import LoadedModel, ready
from evalsuite.engine.native.memory_estimate import needs_by_config
from evalsuite.engine.native.model import NativeModel
from evalsuite.engine.native.models import support_for
from evalsuite.engine.native.paths import Paths, fastest
from evalsuite.engine.native.score_packed import begin_run
from evalsuite.engine.native.sizes import DeviceMemory
from evalsuite.engine.native.slots.forward import SlotModel
from evalsuite.engine.native.slots.graphs import Graphing
from evalsuite.engine.native.trials.fit import Fit
from evalsuite.engine.native.trials.forms import PACKED, SLOTS, Forms
from evalsuite.engine.placement import GPU_BUDGET
from evalsuite.engine.planning.plan import plan_packs
from evalsuite.types import GenerateRequest, ScoreRequest
from tests.engine.native.dry_run.device import DEVICE, Recorder, on_device, pretended_gpu
from tests.engine.native.dry_run.watch import Watch
from tests.engine.native.facts import GB, Facts
from tests.engine.tiny import byte_tokenizer


@dataclass(frozen=True)
class DryRun:
    """An engine on the pretended GPU, and the watch over it."""

    engine: TransformersEngine
    watch: Watch


class PretendedModel(NativeModel):
    """A model with weights of the right shapes on the pretended GPU."""

    paths: Paths
    built: Any
    """transformers' model on the meta device."""

    @functools.cached_property
    def loaded(self) -> LoadedModel:
        model = on_device(self.built)
        notes = support_for(model.config.model_type).patch(model)
        positions = self.sizes_within(GPU_BUDGET).positions_per_chunk
        return replace(ready(model, DEVICE, notes), paths=self.paths, positions_per_chunk=positions)


class PretendedEngine(TransformersEngine):
    model_class = PretendedModel


def model_on_meta(facts: Facts) -> Any:
    """transformers' model without weights."""
    model_class = getattr(transformers, f"{facts.name}ForCausalLM")
    config_class = getattr(transformers, f"{facts.name}TextConfig", None) or model_class.config_class
    options = {name: value for name, value in facts.config.items() if name != "model_type"}
    config = config_class(**options, bos_token_id=1, eos_token_id=2, pad_token_id=1)
    with torch.device("meta"):
        return model_class._from_config(config, dtype=torch.bfloat16).eval()


@contextmanager
def dry_run(
    facts: Facts, folder: Path, *, gigabytes: int = 141, graphs: bool = False, **paths: str
) -> Iterator[DryRun]:
    """An engine for a model on a GPU with so much memory; `paths` replaces some of the fastest ones."""
    built = model_on_meta(facts)
    built.config.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    with pretended_gpu() as watch:
        engine = PretendedEngine(ModelFiles(facts.name, folder), dtype="bfloat16", device=DEVICE)
        model: Any = engine.model
        model.device, model.built = DEVICE, built
        model.paths = replace(fastest(DEVICE, "bfloat16"), **paths)
        model.memory = DeviceMemory(gigabytes * GB, gigabytes * GB - 2**29)
        model.needs = needs_by_config(facts.config, facts.weights, "bfloat16")
        forms = Forms(PACKED, SLOTS)
        slots = SlotModel.of(model.loaded)
        known = {"known_forms": forms, "forms": forms}
        fit = Fit(forms, scoring=model.loaded, writing=model.loaded, slots=slots)
        engine.tried.__dict__.update(known, why_not_packed="", fit=fit)
        allowed = allowed_difference(torch.bfloat16)
        engine.generator.__dict__["graphing"] = Graphing(Recorder(watch), allowed) if graphs else None
        warm_up(model.loaded)
        watch.begin()
        yield DryRun(engine, watch)


def warm_up(loaded: LoadedModel) -> None:
    """Run a small pack: modules and rotations are compared with their kernels when they first run."""
    plan = plan_packs(endings(1), 2**14)
    begin_run(loaded, plan, plan.runs[0])()


def multiple_choice(subjects: int, questions: int, shots: int = 400, own: int = 80) -> list[ScoreRequest]:
    """As MMLU asks: a subject's examples, a question, and four letters."""
    numbers = np.random.default_rng(0)
    requests = []
    for _ in range(subjects):
        examples = _tokens(numbers, shots)
        for _ in range(questions):
            context = examples + _tokens(numbers, own + int(numbers.integers(40)))
            requests += [ScoreRequest(context, (letter,)) for letter in (65, 66, 67, 68)]
    return requests


def endings(documents: int, shots: int = 800, own: int = 25) -> list[ScoreRequest]:
    """As HellaSwag asks: examples of each document's own, and four endings."""
    numbers = np.random.default_rng(0)
    requests = []
    for _ in range(documents):
        context = _tokens(numbers, shots + int(numbers.integers(100)))
        for _ in range(4):
            requests.append(ScoreRequest(context, _tokens(numbers, own + int(numbers.integers(20)))))
    return requests


def problems(count: int, limits: Iterable[int], shots: int = 1000) -> list[GenerateRequest]:
    """As GSM8K asks: shared examples, a problem each, and texts of different lengths."""
    numbers = np.random.default_rng(0)
    examples, lengths = _tokens(numbers, shots), [*limits]
    return [
        GenerateRequest(
            context=examples + _tokens(numbers, 40 + int(numbers.integers(60))),
            stop=("\n\n",),
            max_tokens=lengths[index % len(lengths)],
        )
        for index in range(count)
    ]


def _tokens(numbers: np.random.Generator, count: int) -> tuple[int, ...]:
    return tuple(numbers.integers(3, 250, count).tolist())
