"""Tensor parallelism: one model over several processes, each with a part of every layer.

The first process leads: it alone reads data, keeps the store, writes the folder and draws progress. What it scores
or generates it announces to the others, which do the same in lockstep, as plans depend on the requests alone. Their
collective operations need all of them, so whatever happens to one of them happens to all: what cannot be agreed
upon ends every process, and the answers so far are kept.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.trials.forms import Forms
from evalsuite.engine.placement import resolve_device
from evalsuite.engine.protocol import Block
from evalsuite.engine.tensor_parallel.ranks import Team
from evalsuite.errors import ModelError, ProcessError, UserError
from evalsuite.types import GenerateRequest, ScoreRequest

if TYPE_CHECKING:
    from evalsuite.engine.native.loading.load import LoadedModel

ResultT = TypeVar("ResultT")

PATIENCE = timedelta(days=30)
"""How long processes wait for the leader, who may be judging programs for hours."""
LEAST_DIVIDED = 0.5
"""Share of the weights that a plan must divide to be one; Nemotron-H's divides its embeddings and experts only."""
WHOLE = ("replicate", "replicated_with_grad_allreduce")
"""Styles of transformers' plans that leave a weight whole in every process."""


class TensorParallelEngine(TransformersEngine):
    """The native engine in a team of processes; arguments as of `TransformersEngine`, and `team`."""

    def __init__(self, files: ModelFiles, *, team: Team, **options: Any) -> None:
        super().__init__(files, **options)
        if self.spread:
            raise UserError("--device spread is for one process; start evalsuite without torchrun.")
        self.team = team
        self._together = True
        """False while a collective operation may be under way: then nothing else can be sent."""

    @cached_property
    def device(self) -> str:
        """This process's own device."""
        kind = resolve_device(self._device).partition(":")[0]
        if self._device.partition(":")[2]:
            raise UserError(f"--device {self._device} names one GPU; under torchrun use cuda or auto.")
        if kind == "mps":
            raise UserError("Tensor parallelism needs CUDA GPUs or CPUs; start evalsuite without torchrun.")
        if kind == "cpu":
            import torch

            if torch.cuda.is_available():
                raise UserError(
                    "torchrun with --device cpu needs CUDA_VISIBLE_DEVICES= (empty): here are GPUs."
                )
            return kind
        return resolve_device(f"{kind}:{self.team.local_rank}")

    def _numerics(self, forms: Forms | None) -> str:
        return f"{super()._numerics(forms)} tp{self.team.size}"

    @cached_property
    def forms(self) -> Forms:
        """As one process has them; found by all processes together."""
        if self.team.rank == 0 and not self._known_forms and "_fit" not in self.__dict__:
            self._send("adopt", None)
            self._send("find_forms")
        return self._known_forms or self._fit.forms

    def adopt(self, known: Forms | None) -> tuple[()]:
        """Take what the leader's cache holds, so that all processes plan alike."""
        self.__dict__["_known_forms"] = known
        return ()

    def find_forms(self) -> tuple[()]:
        """Load and try the model, as the leader does at the same time."""
        _ = self._fit
        return ()

    @cached_property
    def pack_tokens(self) -> int:
        """As few as one of the processes has room for."""
        from evalsuite.engine.native.memory_estimate import pack_tokens

        own = self._token_budget or pack_tokens(self.files, self.dtype, self.device, self.team.size)
        return self._agreed(own)

    def _free_bytes(self) -> int:
        return self._agreed(super()._free_bytes())

    @property
    def _may_retry(self) -> bool:
        """No: where one process is out of memory, the others wait for it in the same pass."""
        return False

    def begin_loading(self) -> None:
        """Not yet: all processes load together, when the leader has work for them."""

    @cached_property
    def _loaded(self) -> "LoadedModel":
        from torch import distributed

        problem, loaded = "", None
        try:
            self._refuse_without_plan()
            loaded = self._load(self.team.size)
        except ModelError as error:
            problem = str(error)
        problems: list[str] = [""] * self.team.size
        distributed.all_gather_object(problems, problem, group=self._control)
        if any(problems) or loaded is None:
            raise ModelError(next(filter(None, problems)))
        return loaded

    def _refuse_without_plan(self) -> None:
        config, size = model_config(self.files, self._trust_remote_code), self.team.size
        heads = {"num_attention_heads": "attention heads", "num_key_value_heads": "key-value heads"}
        for name, what in heads.items():
            count = getattr(config.get_text_config(), name, None)
            if isinstance(count, int) and count % size:
                raise ModelError(
                    f"Model '{self.files.name}' has {count} {what}, which {size} processes cannot share equally; "
                    "use another number, or one process with --device spread."
                )
        divided = divided_share(self.files, self._trust_remote_code)
        if divided < LEAST_DIVIDED:
            raise ModelError(
                f"transformers' tensor-parallel plan for '{config.model_type}' divides {divided:.0%} of the "
                "weights and leaves the rest whole in every process; use one process with --device spread (device_map), "
                "without torchrun."
            )

    @cached_property
    def _control(self) -> Any:
        """The group that objects are sent through; the first use waits for all processes."""
        import torch
        from torch import distributed

        if not distributed.is_initialized():
            options: dict[str, Any] = {"backend": "gloo"}
            if self.device.startswith("cuda"):
                torch.cuda.set_device(self.device)
                options = {"backend": "nccl", "device_id": torch.device(self.device)}
            distributed.init_process_group(**options, timeout=PATIENCE)
        return distributed.new_group(backend="gloo", timeout=PATIENCE)

    def _agreed(self, value: int) -> int:
        """The smallest of all processes' values."""
        from torch import distributed

        values: list[int] = [0] * self.team.size
        distributed.all_gather_object(values, value, group=self._control)
        return min(values)

    def _send(self, *message: Any) -> tuple[Any, ...]:
        """The leader's message, in every process."""
        from torch import distributed

        content = [message]
        distributed.broadcast_object_list(content, src=0, group=self._control)
        return content[0]

    def score(
        self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest] = ()
    ) -> Iterator[Block[ScoreRequest]]:
        """As one process does; the leader's call is every process's."""
        yield from self._in_lockstep("score", super().score, requests, answered)

    def generate(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest] = ()
    ) -> Iterator[Block[GenerateRequest]]:
        """As one process does; the leader's call is every process's."""
        yield from self._in_lockstep("generate", super().generate, requests, answered)

    def _in_lockstep(
        self, name: str, work: Callable[..., Iterator[Block]], requests: Sequence, answered: Collection
    ) -> Iterator[Block]:
        with self._errors_told():
            if self.team.rank == 0:
                self._send("adopt", self._known_forms)
                self._send(name, tuple(requests), frozenset(answered))
            self._together = False
            yield from work(requests, answered)
            self._together = True

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        """What one process alone meets, or another one's end, as a sentence."""
        from torch import distributed

        from evalsuite.engine.native.memory import is_out_of_memory

        me = f"Process {self.team.rank} of {self.team.size}"
        try:
            yield
        except Exception as error:
            if is_out_of_memory(error):
                raise ProcessError(
                    f"{me} ran out of memory; use more processes or a smaller data type. The answers so far are kept."
                ) from error
            if isinstance(error, distributed.DistError) or _LOST.search(str(error)):
                raise ProcessError(
                    f"{me} lost the others, one of which has ended; the answers so far are kept, the same command "
                    "continues."
                ) from error
            raise

    def lead(self, run: Callable[[], ResultT]) -> ResultT:
        """Do `run` in the first process, whose result is that of every process; the others call it, too.

        Raises:
            UserError: in every process, where the leader met it between two passes of the model.
        """
        if self.team.rank:
            return self._follow()
        try:
            result = run()
        except BaseException as error:
            if self._together:
                self._send("failed", str(error))
                self._leave()
            raise
        self._send("done", result)
        self._leave()
        return result

    def _follow(self) -> Any:
        while True:
            with self._errors_told():
                name, *content = self._send()
            match name:
                case "done":
                    self._leave()
                    return content[0]
                case "failed":
                    self._leave()
                    raise UserError(content[0])
                case _:
                    for _ in getattr(self, name)(*content):
                        pass

    def _leave(self) -> None:
        from torch import distributed

        distributed.destroy_process_group()


_LOST = re.compile(r"gloo|nccl|connection (closed|reset)", re.IGNORECASE)


def model_config(files: ModelFiles, trust_remote_code: bool = False) -> Any:
    """transformers' configuration of a model, also of a GGUF file."""
    from transformers import AutoConfig

    from evalsuite.engine.native.loading.linked import loader_arguments

    folder, gguf_file = loader_arguments(files)
    return AutoConfig.from_pretrained(
        folder,
        gguf_file=gguf_file,
        trust_remote_code=trust_remote_code,
        local_files_only=True,
    )


def divided_share(files: ModelFiles, trust_remote_code: bool = False) -> float:
    """Share of the weights that transformers' plan divides among processes; nothing is loaded."""
    import torch
    from transformers import AutoModelForCausalLM

    config = model_config(files, trust_remote_code)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    plan = {name for name, style in (model._tp_plan or {}).items() if style not in WHOLE}
    sizes = {name: weight.numel() for name, weight in model.named_parameters()}
    divided = sum(
        size
        for name, size in sizes.items()
        if {generic := re.sub(r"\d+", "*", name), generic.rpartition(".")[0]} & plan
    )
    return divided / sum(sizes.values())
