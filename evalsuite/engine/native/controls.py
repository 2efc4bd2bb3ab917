"""Applies a model's `generation_config.json` (penalties, limits) as transformers' `generate` does.

lm-eval's `hf` backend calls `generate`, which follows that file; so do requests with `backend="lm_eval_hf"`.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch

from evalsuite.engine.generation_config import NEUTRAL, NOT_APPLIED, asked_for
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.errors import ModelError
from evalsuite.types import GenerateRequest

Control = Callable[[list[int], torch.Tensor], torch.Tensor]
"""From a row's generated ids and its logits (vocabulary,) to the logits from which a token is chosen."""

TOP_K = 50
"""transformers' default top-k for sampling (5.23, `_get_default_generation_params`)."""


class Controls:
    """The logits processors and length limits of one loaded model's `generation_config.json`."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        config = getattr(loaded.model, "generation_config", None)
        self._config = config.to_dict() if config is not None else {}
        self._acting = asked_for(self._config, NEUTRAL)

    def limit(self, request: GenerateRequest) -> int:
        """Most tokens of a text: the file's `max_new_tokens` overrides the request's (transformers 5.23)."""
        most = self._config.get("max_new_tokens") if request.backend == "lm_eval_hf" else None
        return request.max_tokens if most is None else int(most)

    def of(self, request: GenerateRequest) -> Control | None:
        """The function that changes a request's logits; None for most requests."""
        if request.backend != "lm_eval_hf":
            return None
        top_k = self._config.get("top_k") or TOP_K if request.temperature > 0 else 0
        if not (self._acting.keys() - {"max_new_tokens"} or top_k):
            return None
        context = torch.tensor([request.context], device=self._loaded.device)
        processors = self._processors(request, context)

        def control(ids: list[int], logits: torch.Tensor) -> torch.Tensor:
            history = torch.cat([context, context.new_tensor([ids])], dim=1) if ids else context
            scores: torch.Tensor = processors(history, logits[None].to(torch.float32, copy=True))[0]
            if 0 < top_k < len(scores):
                scores = scores.masked_fill(scores < scores.topk(top_k).values[-1], float("-inf"))
            return scores

        return control

    def _processors(self, request: GenerateRequest, context: torch.Tensor) -> Any:
        """transformers' logits processors for one request."""
        from transformers import LogitsProcessorList

        model, config = self._loaded.model, copy.deepcopy(self._loaded.model.generation_config)
        length, ends = len(request.context), sorted(self._loaded.eos_ids)
        least = config.min_length if config.min_new_tokens is None else config.min_new_tokens + length
        # evalsuite samples by itself; NaN is reported as a failure and not replaced.
        plain = {**dict.fromkeys(NOT_APPLIED), "do_sample": False, "remove_invalid_values": False}
        for name, value in {**plain, "max_length": length + self.limit(request), "min_length": least}.items():
            setattr(config, name, value)
        config._eos_token_tensor = torch.tensor(ends, device=context.device) if ends else None
        try:
            return model._get_logits_processor(
                generation_config=config,
                input_ids_seq_length=length,
                encoder_input_ids=context,
                prefix_allowed_tokens_fn=None,
                logits_processor=LogitsProcessorList(),
                device=str(context.device),
                model_kwargs={},
            )
        except Exception as error:
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            raise ModelError(f"generation_config.json cannot be applied: {reason}") from error
