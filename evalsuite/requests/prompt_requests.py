"""The requests of one prompt, whose tokens are known."""

from dataclasses import replace

from evalsuite.engine.protocol import Tokenizer
from evalsuite.requests.document import DocumentRequests
from evalsuite.requests.encode import Encoded
from evalsuite.requests.token_bytes import token_bytes
from evalsuite.types import GenerateRequest, Prompt, ScoreRequest, TokenIds


def scoring_requests(
    prompt: Prompt, shots: int, encoded: list[Encoded] | str, window: int | None
) -> DocumentRequests:
    """The scoring requests of a prompt, or why there are none.

    Args:
        prompt: the prompt.
        shots: number of shots in it.
        encoded: its encoded pairs, or the reason why they cannot be encoded.
        window: context window in tokens, or None.
    """
    if isinstance(encoded, str):
        return DocumentRequests(prompt, shots, (), 0, problem=encoded)
    if not encoded:
        return DocumentRequests(prompt, shots, (), 0, problem="There are no choices.")
    requests = tuple(pair.request for pair in encoded)
    tokens = max(len(request.context) + len(request.continuation) - 1 for request in requests)
    fits = window is None or tokens <= window
    return DocumentRequests(
        prompt,
        shots,
        requests if fits else (),
        tokens,
        joined=any(pair.joined for pair in encoded),
        realigned=any(pair.realigned for pair in encoded),
        scores_bos=any(pair.scores_bos for pair in encoded),
    )


def generation_requests(
    prompt: Prompt, shots: int, context: TokenIds | str, window: int | None, seed: int
) -> DocumentRequests:
    """The generating requests of a prompt, one per sample, or why there are none.

    Args:
        prompt: the prompt.
        shots: number of shots in it.
        context: its tokens, or the reason why it cannot be encoded.
        window: context window in tokens, or None.
        seed: seed of sampled generation.
    """
    settings = prompt.generation
    assert settings is not None
    if isinstance(context, str):
        return DocumentRequests(prompt, shots, (), 0, problem=context)
    if not context:
        return DocumentRequests(prompt, shots, (), 0, problem="The prompt encodes to no token.")
    tokens, shortened = len(context), False
    if settings.backend == "lm_eval_hf" and window is not None:
        capacity = window - settings.max_tokens
        if capacity < 1:
            problem = f"the answer may have {settings.max_tokens} tokens, but the context window has {window}"
            return DocumentRequests(prompt, shots, (), tokens, problem=problem)
        context, shortened = context[-capacity:], tokens > capacity
    sampled = settings.temperature > 0
    requests = tuple(
        GenerateRequest(
            context,
            settings.stop,
            settings.max_tokens,
            settings.temperature,
            settings.top_p if sampled else 1.0,
            seed if sampled else 0,
            sample,
            settings.backend,
        )
        for sample in range(settings.samples)
    )
    fits = window is None or len(context) < window
    return DocumentRequests(prompt, shots, requests if fits else (), tokens, shortened=shortened)


def with_token_bytes(asked: DocumentRequests, tokenizer: Tokenizer, window: int | None) -> DocumentRequests:
    """The requests of a whole text with the bytes of their tokens, and whether these are the same text."""
    text = asked.prompt.continuations[0]
    scored = (request.continuation for request in asked.requests if isinstance(request, ScoreRequest))
    ids = tuple(token for continuation in scored for token in continuation)
    if not ids:
        return asked
    altered = tokenizer.decode(ids[1:] if asked.scores_bos else ids) != text
    return replace(asked, window=window, token_bytes=token_bytes(tokenizer, text, ids), altered=altered)
