"""Encodes context and continuation apart, whatever the tokenizer would join."""

from collections.abc import Sequence

from evalsuite.engine.protocol import Tokenizer
from evalsuite.requests.encode import Encoded, encode_contexts
from evalsuite.requests.token_ids import Pair, TextEncoder
from evalsuite.types import Bos, ScoreRequest


def encode_apart(
    tokenizer: Tokenizer, documents: Sequence[Sequence[Pair]], bos: Bos
) -> list[list[Encoded] | str]:
    """Requests whose context and continuation are each encoded alone, or the reason why there are none.

    This is the rule of Ai2's evaluations in training (ai2-olmo-eval 0.9.0, `tasks.py`, `prep_examples`): no
    white space moves, and only the context has special tokens.

    Raises:
        ValueError: the tokenizer cannot read one of the texts.
    """
    pairs = list(dict.fromkeys(pair for group in documents for pair in group))
    contexts = encode_contexts(tokenizer, [context for context, _ in pairs], bos)
    by_pair = dict(zip(pairs, contexts, strict=True))
    plain = TextEncoder(tokenizer, "never").plain_ids(text for _, text in pairs)
    encoded: list[list[Encoded] | str] = []
    for group in documents:
        problems = [ids for pair in group if isinstance(ids := by_pair[pair], str)]
        empty = [text for _, text in group if not plain[text]]
        if problems or empty:
            encoded.append(problems[0] if problems else f"The continuation {empty[0]!r} encodes to no token.")
            continue
        requests = (ScoreRequest(tuple(by_pair[pair]), plain[pair[1]]) for pair in group)
        encoded.append([Encoded(request) for request in requests])
    return encoded
