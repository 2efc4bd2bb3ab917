"""vLLM 0.33.0 by its shapes: the names that the adapter uses, and a stand-in of those shapes that really
computes.

`test_vllm_signatures.py` holds the names against vLLM's own source.
"""

import dataclasses
import sys
import types
from dataclasses import dataclass, field
from typing import Any

import torch

VERSION = "0.33.0"
LLM_METHODS = {"generate": {"prompts", "sampling_params", "use_tqdm"}}
SAMPLING_PARAMS = {
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "stop_token_ids",
    "seed",
    "prompt_logprobs",
    "logprob_token_ids",
    "detokenize",
}
REQUEST_OUTPUT = {"prompt_logprobs", "outputs"}
COMPLETION_OUTPUT = {"text", "token_ids", "logprobs", "finish_reason", "stop_reason"}
LOGPROB = {"logprob", "rank"}
MOST_IDS = 128


@dataclass
class SamplingParams:
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 16
    stop: list[str] | None = None
    stop_token_ids: list[int] | None = None
    seed: int | None = None
    prompt_logprobs: int | None = None
    logprob_token_ids: list[int] | None = None
    detokenize: bool = True


@dataclass
class Logprob:
    logprob: float
    rank: int | None = None


@dataclass
class CompletionOutput:
    text: str
    token_ids: list[int]
    logprobs: list[dict[int, Logprob]] | None
    finish_reason: str | None
    stop_reason: int | str | None = None


@dataclass
class RequestOutput:
    prompt_logprobs: list[dict[int, Logprob] | None] | None
    outputs: list[CompletionOutput]


class EngineDeadError(Exception):
    pass


@dataclass
class LLM:
    """As `vllm.LLM`, with a tiny model of ours; `refuses` makes a call raise."""

    model: Any
    tokenizer: Any
    window: int
    arguments: dict = field(default_factory=dict)
    calls: list[int] = field(default_factory=list)
    """Prompts in each call."""
    params: list[SamplingParams] = field(default_factory=list)
    refuses: Any = None

    def generate(self, prompts, sampling_params=None, *, use_tqdm=True) -> list[RequestOutput]:
        assert use_tqdm is False
        self.calls.append(len(prompts))
        self.params += sampling_params
        for prompt in prompts:
            if len(prompt["prompt_token_ids"]) >= self.window:
                raise ValueError("The prompt is longer than the maximum model length")
            if self.refuses and (error := self.refuses(prompt["prompt_token_ids"])):
                raise error
        return [
            self._one(prompt["prompt_token_ids"], params)
            for prompt, params in zip(prompts, sampling_params, strict=True)
        ]

    @torch.inference_mode()
    def _rows(self, ids: list[int]) -> torch.Tensor:
        return self.model(input_ids=torch.tensor([ids])).logits[0].float()

    def _one(self, ids: list[int], params: SamplingParams) -> RequestOutput:
        rows = self._rows(ids)
        listed = None
        if params.prompt_logprobs is not None:
            logs = rows.log_softmax(-1)
            listed = [None, *({token: self._logprob(logs[n], token)} for n, token in enumerate(ids[1:]))]
        return RequestOutput(listed, [self._text(ids, rows, params)])

    def _logprob(self, row: torch.Tensor, token: int) -> Logprob:
        return Logprob(row[token].item(), int((row > row[token]).sum()) + 1)

    def _text(self, ids: list[int], rows: torch.Tensor, params: SamplingParams) -> CompletionOutput:
        chance = torch.Generator().manual_seed(params.seed or 0)
        made: list[int] = []
        logprobs: list[dict[int, Logprob]] | None = [] if params.logprob_token_ids else None
        while True:
            row = rows[-1]
            token = (
                int(torch.multinomial((row / params.temperature).softmax(-1), 1, generator=chance))
                if params.temperature
                else int(row.argmax())
            )
            if logprobs is not None:
                wanted = [token, *params.logprob_token_ids]
                # The ranks of all but the sampled token are places in the list, as in vllm/logprobs.py.
                logprobs.append(
                    {one: Logprob(row.log_softmax(-1)[one].item(), n) for n, one in enumerate(wanted)}
                )
            made.append(token)
            text = self.tokenizer.decode(made, skip_special_tokens=True) if params.detokenize else ""
            if token != self.model.config.eos_token_id and token in (params.stop_token_ids or []):
                text = self.tokenizer.decode(made[:-1], skip_special_tokens=True)
                return CompletionOutput(text, made, logprobs, "stop", token)
            if token == self.model.config.eos_token_id:
                return CompletionOutput(text, made, logprobs, "stop")
            for stop in params.stop or []:
                if stop in text:
                    return CompletionOutput(text[: text.index(stop)], made, logprobs, "stop", stop)
            if len(made) == params.max_tokens or len(ids) + len(made) == self.window:
                return CompletionOutput(text, made, logprobs, "length")
            rows = self._rows([*ids, *made])


def installed(monkeypatch, model, tokenizer, window: int) -> list[LLM]:
    """Puts a module `vllm` of these shapes in place; the LLMs that are made come to the list."""
    made: list[LLM] = []

    def make(**arguments: Any) -> LLM:
        made.append(LLM(model, tokenizer, window, arguments))
        return made[-1]

    module = types.ModuleType("vllm")
    module.LLM, module.SamplingParams = make, SamplingParams  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setattr("evalsuite.engine.vllm.engine.metadata.version", lambda name: VERSION)
    return made


assert {one.name for one in dataclasses.fields(SamplingParams)} == SAMPLING_PARAMS
assert {one.name for one in dataclasses.fields(RequestOutput)} == REQUEST_OUTPUT
assert {one.name for one in dataclasses.fields(CompletionOutput)} == COMPLETION_OUTPUT
assert {one.name for one in dataclasses.fields(Logprob)} == LOGPROB
