"""Encodings of CORE's evaluators: whole texts with the span that is scored, and pieces encoded one by one.

`Join` (`evalsuite/types.py`) names both rules; prompt specs declare which one applies.
"""

from collections.abc import Sequence
from itertools import takewhile

from evalsuite.engine.protocol import Tokenizer
from evalsuite.requests.encode import Encoded
from evalsuite.requests.token_ids import Pair, TextEncoder
from evalsuite.types import Bos, ScoreRequest, TokenIds


def encode_wholes(
    tokenizer: Tokenizer, documents: Sequence[Sequence[Pair]], bos: Bos
) -> list[list[Encoded] | str]:
    """Requests on the tokens of whole texts (nanochat's `core_eval.py`), or the reason why there are none.

    - Several continuations of one context: from the first token at which the texts differ to their ends.
    - Several contexts: the tokens at the end that all texts have in common.
    - A single continuation: the tokens after those of the context alone, which must begin the text's tokens;
      where they do not, nanochat's evaluator stops.

    Raises:
        ValueError: the tokenizer cannot read one of the texts.
    """
    encoder = TextEncoder(tokenizer, bos)
    alone = (pairs[0][0] for pairs in documents if len(pairs) == 1)
    ids = encoder.ids([*("".join(pair) for pairs in documents for pair in pairs), *alone])
    return [_spans(pairs, ids) for pairs in documents]


def _spans(pairs: Sequence[Pair], ids: dict[str, TokenIds]) -> list[Encoded] | str:
    wholes = [ids["".join(pair)] for pair in pairs]
    if len(pairs) == 1:
        before = ids[pairs[0][0]]
        if wholes[0][: len(before)] != before:
            return (
                "the tokens of the prompt alone do not begin those of the prompt with its answer, where "
                "nanochat's evaluator stops"
            )
        starts = [len(before)]
    elif len({context for context, _ in pairs}) == 1:
        starts = [_common(wholes)] * len(wholes)
    else:
        end = _common([row[::-1] for row in wholes])
        starts = [len(row) - end for row in wholes]
    if any(not 0 < start < len(row) for row, start in zip(wholes, starts, strict=True)):
        return "no token is left to score, or none before it: a choice's tokens begin or end another's"
    return [
        Encoded(ScoreRequest(row[:start], row[start:])) for row, start in zip(wholes, starts, strict=True)
    ]


def _common(rows: Sequence[TokenIds]) -> int:
    """Length of the beginning that all rows have in common."""
    columns = zip(*rows, strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))


def encode_pieces(
    tokenizer: Tokenizer, documents: Sequence[Sequence[Pair]], preambles: Sequence[int], bos: Bos
) -> list[list[Encoded] | str]:
    """Requests on the tokens of shots, question and continuation, each encoded alone (llm-foundry 0.9.0).

    Special tokens are those that the tokenizer puts before the shots, or before an empty text if there are
    none; what it appends is left out. Without the blank of its delimiter, a continuation that has no leading
    blank gets one if the tokenizer has one token for a blank and a letter, as byte-level BPE does and
    SentencePiece does not.

    Args:
        tokenizer: the model's tokenizer.
        documents: pairs by document.
        preambles: number of characters of each document's contexts that are shots.
        bos: whether a BOS token begins each context.

    Raises:
        ValueError: the tokenizer cannot read one of the texts.
    """
    encoder = TextEncoder(tokenizer, bos)
    needs_blank = len(tokenizer.encode([" a"], special_tokens=False)[0]) == 1

    def continuation_of(text: str) -> str:
        text = text.removeprefix(" ")  # the delimiter's
        return f" {text}" if needs_blank and not text.startswith(" ") else text

    pieces = [
        [(context[:length], context[length:], continuation_of(text)) for context, text in pairs]
        for pairs, length in zip(documents, preambles, strict=True)
    ]
    shots = encoder.ids(shots for group in pieces for shots, _, _ in group if shots)
    shots[""] = encoder.alone
    plain = encoder.plain_ids(text for group in pieces for _, *texts in group for text in texts)
    return [
        _joined([(shots[first], plain[second], plain[third]) for first, second, third in group])
        for group in pieces
    ]


def _joined(pieces: Sequence[tuple[TokenIds, TokenIds, TokenIds]]) -> list[Encoded] | str:
    if any(not (shots or question) or not continuation for shots, question, continuation in pieces):
        return "a context or a continuation encodes to no token"
    return [Encoded(ScoreRequest(shots + question, continuation)) for shots, question, continuation in pieces]
