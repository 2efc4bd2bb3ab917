"""Encodes whole texts in rolling windows, each token scored exactly once."""

from collections.abc import Sequence

from evalsuite.engine.protocol import Tokenizer
from evalsuite.requests.encode import Encoded
from evalsuite.requests.token_ids import TextEncoder
from evalsuite.types import Bos, Encoding, ScoreRequest, TokenIds


def encode_rolling(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    bos: Bos,
    window: int | None,
    encoding: Encoding = "evalsuite",
    stride: int | None = None,
) -> list[list[Encoded] | str]:
    """Requests that score every token of each text exactly once, the first one after the prefix token.

    Windows follow lm-eval 0.4.13 (`utils.py`, `get_rolling_token_windows`): the first has `window` tokens
    after the prefix token. Each later one scores `stride` tokens after as much context as fits; lm-eval's
    harness has a context of one token there, which is the default. A BOS token that the tokenizer adds is not
    scored, unless `encoding` is lm-eval's, whose `hf` backend puts the prefix token before it.

    Args:
        tokenizer: the model's tokenizer.
        texts: the texts.
        bos: whether the tokenizer's BOS token begins a text; the prefix token stands before it anyway.
        window: context window in tokens; None for a single window.
        encoding: whose rules to follow.
        stride: tokens scored by each window after the first; all but one of `window` if None or larger.

    Raises:
        ValueError: as in `encode_documents`.
    """
    encoder = TextEncoder(tokenizer, bos)
    ids = encoder.ids(text for text in texts if text)
    plain = encoder.plain_ids(text for text in texts if text)
    encoded: list[list[Encoded] | str] = []
    for text in texts:
        own, all_ids = plain.get(text, ()), ids.get(text, ())
        if not own:
            encoded.append("The text to score encodes to no token.")
            continue
        try:
            whole = (*encoder.prefix, *all_ids) if encoding == "lm_eval" else encoder.after_prefix(own)
        except ValueError as error:
            encoded.append(str(error))
            continue
        doubled = encoding == "lm_eval" and len(all_ids) > len(own)
        encoded.append([Encoded(request, scores_bos=doubled) for request in _windows(whole, window, stride)])
    return encoded


def _windows(whole: TokenIds, window: int | None, stride: int | None) -> list[ScoreRequest]:
    """Windows over all tokens of `whole` but the first, which is not scored: `whole[i]` precedes `ids[i]`."""
    ids = whole[1:]
    size = min(window or len(ids), len(ids))
    step = min(stride or size, size)
    requests = [ScoreRequest(whole[:1], ids[:size])]
    for start in range(size, len(ids), step):
        end = min(start + step, len(ids))
        requests.append(ScoreRequest(whole[end - size : start + 1], ids[start:end]))
    return requests
