"""Encodes context and continuation apart, whatever the tokenizer would join."""

from collections.abc import Sequence

from evalsuite.engine.protocol import Tokenizer
from evalsuite.requests.encode import Encoded, encode_contexts
from evalsuite.requests.token_ids import Pair, TextEncoder
from evalsuite.types import Bos, ScoreRequest, TokenIds


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
    return [_document([(by_pair[pair], plain[pair[1]], pair[1]) for pair in group]) for group in documents]


def _document(pieces: Sequence[tuple[TokenIds | str, TokenIds, str]]) -> list[Encoded] | str:
    encoded = []
    for context, continuation, text in pieces:
        if isinstance(context, str):
            return context
        if not continuation:
            return f"The continuation {text!r} encodes to no token."
        encoded.append(Encoded(ScoreRequest(context, continuation)))
    return encoded
