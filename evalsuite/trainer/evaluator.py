"""`Evaluator`: scores the model of a training loop where it is, and leaves it as it was."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite.api import known_bos, refuse_bad_counts, refuse_empty_paths
from evalsuite.checkpoints import ModelFiles
from evalsuite.data.folder import data_folder
from evalsuite.engine.placement import DTYPES, resolve_logits_dtype
from evalsuite.engine.token_options import TokenOptions
from evalsuite.errors import UnknownName, UserError
from evalsuite.progress import Progress
from evalsuite.registry.addresses import split_addresses
from evalsuite.registry.registry import Registry
from evalsuite.results.run_spec import RunSpec
from evalsuite.results.runlog import RunLog
from evalsuite.runs.kept import Kept
from evalsuite.runs.options import Execution, RunOptions

if TYPE_CHECKING:
    import torch

    from evalsuite.engine.live.logits_module import Adapter
    from evalsuite.engine.protocol import Engine
    from evalsuite.trainer.unwrap import Bare

OPTIONS = (
    "recipe",
    "shots",
    "split",
    "limit",
    "sample",
    "seed",
    "data",
    "include",
    "out",
    "bos",
    "prefix_token",
    "max_length",
    "logits_dtype",
    "allow_data_drift",
    "allow_failures",
    "allow_unsafe_code",
)
"""Fields of `RunOptions` that mean something for a model that is there already."""
IN_TRAINING = "evaluated in the process that trains the model"
NOT_HASHED = "the weights were not hashed, and their name stands for no other run's"


class Evaluator:
    """Evaluates a live model, again and again; documents, prompts and token ids are made once.

        evaluator = evalsuite.Evaluator("hellaswag,arc_easy", tokenizer, limit=200)
        log = evaluator(model, step=1000)

    A causal model of transformers is run by the native engine, as far as its trials agree on this very model;
    any other module, and a model under FSDP, by plain forward passes over padded batches. Under DDP and FSDP
    every process makes the same calls.

    Args:
        tasks: addresses, as for `evalsuite.run`.
        tokenizer: a tokenizer of transformers or tokenizers, or the name of a folder with one.
        name: the model's name in the log; by default its class's.
        logits: calls a module: `logits(module, ids)` returns the (rows, tokens, vocabulary) logits of (rows,
            tokens) ids. By default `module(ids)`, which returns them or an object with `logits`. A model of
            transformers with a function of its own is run as any other module.
        autocast: "bfloat16" or "float16": compute under autocast, as any other module; by default in the data
            type of the weights, whatever autocast the caller is in.
        digest: hash the weights at each call. Otherwise the log's `weights_sha256` is a name that begins with
            `unhashed-` and that no other run has, and no stored answer is used.
        process_group: the processes that evaluate together; by default all of them.
        options: other options of a run; see `OPTIONS`. With `out`, each call writes a run folder
            `out/step-<step>`; without it nothing is written.
        progress: is told what happens.
        overrides: fields of `RunOptions` by name, in place of those in `options`.

    Raises:
        UserError: a task, the tokenizer or an option is wrong.
    """

    def __init__(
        self,
        tasks: str | Sequence[str],
        tokenizer: Any,
        *,
        name: str = "",
        logits: "Adapter | None" = None,
        autocast: str | None = None,
        digest: bool = False,
        process_group: Any = None,
        options: RunOptions | None = None,
        progress: Progress | None = None,
        **overrides: Any,
    ) -> None:
        from evalsuite.engine.live.ranks import TrainingRanks
        from evalsuite.engine.live.tokenizer import tokenizer_of

        self._options = _applicable(options or RunOptions(), overrides)
        if autocast is not None and autocast not in DTYPES[1:]:
            raise UnknownName("data type of autocast", autocast, DTYPES[1:])
        registry = Registry.load([Path(path) for path in self._options.include])
        texts = split_addresses(tasks if isinstance(tasks, str) else list(tasks))
        self._selected = registry.select(texts, self._options.recipe, self._options.shots)
        self._suites = registry.suites.among(texts)
        self._data = data_folder(self._options.data)
        self._tokenizer = tokenizer_of(tokenizer, self._options.prefix_token)
        self._tokenizer_name = str(tokenizer) if isinstance(tokenizer, str | Path) else None
        self._ranks = TrainingRanks(process_group)
        self._name = name
        self._logits = logits
        self._autocast = autocast
        self._digest = digest
        self._progress = progress
        self._kept = Kept()

    def __call__(self, model: "torch.nn.Module", step: int | None = None) -> RunLog | None:
        """Evaluate a model and return the run log, on other ranks than 0 None.

        The model and the process are afterwards as before, also after an error: see
        `trainer.state.kept_as_it_is`.

        Args:
            model: the module with its wrappers (DDP, FSDP, torch.compile).
            step: the training step, for the log and the curves.

        Raises:
            UserError: the model cannot be evaluated, or anything else that the user can fix; on every rank.
        """
        from evalsuite.trainer.state import kept_as_it_is
        from evalsuite.trainer.unwrap import bare, gather_again

        self._ranks.meet()
        with kept_as_it_is(model):
            try:
                return self._evaluated(bare(model), step)
            finally:
                gather_again(model)

    def add_to(
        self, trainer: Any, every: int | None = None, prefix: str = "", *, strict: bool = False
    ) -> None:
        """Evaluate inside a Trainer of transformers, and log `task/metric` through its own `log`.

        Args:
            trainer: the Trainer; it gets a callback.
            every: training steps between two evaluations; None to evaluate after each of the Trainer's own.
            prefix: put before each name in the log; `eval_` puts the scores beside `eval_loss` in trackers.
            strict: end the training with an error of the evaluation, in place of a warning.

        Raises:
            UserError: `every` is below 1.
        """
        from evalsuite.trainer.callback import EvaluationCallback

        trainer.add_callback(EvaluationCallback(trainer, self, every, prefix, strict=strict))

    def _evaluated(self, model: "Bare", step: int | None) -> RunLog | None:
        from evalsuite.engine.live.shared_engine import SharedEngine

        name = self._name or type(model.module).__name__
        named = name if step is None else f"{name}/step-{step}"
        engine = self._engine(model, named)
        if self._ranks.size == 1:
            return self._run(named, engine, step)
        shared = SharedEngine(engine, self._ranks)
        shared.load()
        return shared.run_on_rank_zero(lambda: self._run(named, shared, step))

    def _engine(self, model: "Bare", named: str) -> "Engine":
        """The engine of this process."""
        from evalsuite.trainer.digest import live_digest, name_of_unhashed

        digest = live_digest(model.module) if self._digest else name_of_unhashed()
        tokens = TokenOptions(max_length=self._options.max_length)
        if model.by_native_engine and not self._logits and not self._autocast:
            from evalsuite.engine.live.transformers_model import LiveModel
            from evalsuite.engine.native.engine import NativeEngine

            live = LiveModel(named, model.module, digest, self._options.logits_dtype)
            return NativeEngine(live, self._tokenizer, tokens)
        import torch

        from evalsuite.engine.live.lockstep import GroupLockstep
        from evalsuite.engine.live.logits_module import LogitsModule
        from evalsuite.engine.live.module_engine import ModuleEngine, module_window

        autocast = getattr(torch, self._autocast) if self._autocast else None
        divided = model.shares_weights and self._ranks.size > 1
        return ModuleEngine(
            LogitsModule(model.module, named, self._logits, autocast),
            self._tokenizer,
            digest,
            max_length=tokens.window(module_window(getattr(model.module, "config", None))),
            rounded=self._options.logits_dtype == "model",
            lockstep=GroupLockstep(self._ranks.group) if divided else None,
        )

    def _run(self, named: str, engine: "Engine", step: int | None) -> RunLog:
        from evalsuite.runs.execute import execute

        options = self._options
        in_spec = {name: getattr(options, name) for name in RunSpec.model_fields if name in OPTIONS}
        spec = RunSpec(
            **{
                **in_spec,
                "tasks": tuple(each.address for each in self._selected),
                "suites": tuple(suite.name for suite in self._suites),
                "model": named,
                "engine": "live",
                "device": engine.device,
                "tokenizer": self._tokenizer_name,
            }
        )
        out = Path(options.out) if options.out else None
        execution = Execution(
            folder=out / f"step-{step}" if out and step is not None else out,
            data_dir=self._data,
            allow_failures=options.allow_failures,
            allow_unsafe_code=options.allow_unsafe_code,
            kept=self._kept,
            notes=(IN_TRAINING if self._digest else f"{IN_TRAINING}; {NOT_HASHED}",),
        )
        files = ModelFiles.elsewhere(named)
        return execute(
            spec,
            self._selected,
            files,
            execution,
            suites=self._suites,
            engine=engine,
            progress=self._progress,
        )


def _applicable(options: RunOptions, overrides: Mapping[str, Any]) -> RunOptions:
    """The options, checked.

    Raises:
        UnknownName: there is no such option.
        UserError: an option is for models that are loaded, or has a wrong value.
    """
    options = options.with_overrides(overrides)
    for field in fields(options):
        if field.name not in OPTIONS and getattr(options, field.name) != getattr(RunOptions(), field.name):
            raise UserError(
                f"The option {field.name} is for models that evalsuite loads; Evaluator takes "
                f"{', '.join(OPTIONS)}."
            )
    refuse_bad_counts(options)
    refuse_empty_paths(out=options.out, data=options.data)
    resolve_logits_dtype(options.logits_dtype)
    return replace(options, bos=known_bos(options.bos))
