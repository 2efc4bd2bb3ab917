"""Encodes texts as the token ids of requests.

The context is encoded alone and together with its continuation (lm-eval 0.4.13, `api/model.py`,
`_encode_pair`): the tokens of the whole after the context's tokens are the continuation. Before that,
trailing white space of the context moves to the continuation, because most tokenizers join a blank with the
next word. If a token spans context and continuation, all choices of a document are scored from their last
common token boundary; a spec that reproduces lm-eval slices as lm-eval does (`Prompt.encoding`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.engine.protocol import Tokenizer
from evalsuite.requests.boundary import shared_requests
from evalsuite.requests.token_ids import Pair, TextEncoder
from evalsuite.types import Bos, Encoding, ScoreRequest, TokenIds


@dataclass(frozen=True, slots=True)
class Encoded:
    """A request with flags on its encoding, which the run log counts."""

    request: ScoreRequest
    joined: bool = False
    """Whether a token spans context and continuation in one of the document's pairs."""
    realigned: bool = False
    """Whether all choices of the document are scored from their last common token boundary."""
    scores_bos: bool = False
    """Whether a BOS token that the tokenizer added is scored (lm-eval's rolling log-likelihoods)."""


def encode_documents(
    tokenizer: Tokenizer, documents: Sequence[Sequence[Pair]], bos: Bos, encoding: Encoding = "evalsuite"
) -> list[list[Encoded] | str]:
    """Encode each document's (context, continuation) pairs, or give the reason why they cannot be encoded.

    Pieces that texts share are encoded once. Requests with the same context share one tuple of its ids. An
    empty context becomes the prefix token: BOS, else EOS (as in lm-eval), or the token that the user chose.

    Args:
        tokenizer: the model's tokenizer.
        documents: pairs by document; pairs of one document are compared with each other.
        bos: whether a BOS token begins each context.
        encoding: how to encode if a token spans context and continuation.

    Raises:
        ValueError: the tokenizer cannot read one of the texts.
    """
    moved = [
        [_move_trailing_space(*pair) for pair in pairs] if all(text for _, text in pairs) else None
        for pairs in documents
    ]
    pairs = list(dict.fromkeys(pair for group in moved for pair in group or ()))
    encoder = TextEncoder(tokenizer, bos)
    after_text = [pair for pair in pairs if pair[0]]
    contexts = encoder.ids(context for context, _ in after_text)
    apart = encoder.apart(after_text, contexts)
    wholes = encoder.ids("".join(pair) for pair in after_text if pair not in apart)
    bare = encoder.plain_ids(continuation for context, continuation in pairs if not context)
    encodings = _Encodings(encoder, contexts, apart, wholes, bare)
    return [
        _document(encodings, group, encoding) if group is not None else _empty_continuation(original)
        for group, original in zip(moved, documents, strict=True)
    ]


def encode_pairs(tokenizer: Tokenizer, pairs: Sequence[Pair], bos: Bos) -> list[Encoded]:
    """Encode pairs that are not compared with each other, like `encode_documents`.

    Raises:
        ValueError: a continuation is empty or encodes to no token, or the tokenizer lacks a needed token.
    """
    encoded = encode_documents(tokenizer, [[pair] for pair in pairs], bos)
    if problem := next((result for result in encoded if isinstance(result, str)), ""):
        raise ValueError(problem)
    return [result[0] for result in encoded if not isinstance(result, str)]


@dataclass(frozen=True, slots=True)
class _Encodings:
    """Token ids of all texts of a call."""

    encoder: TextEncoder
    contexts: dict[str, TokenIds]
    apart: dict[Pair, TokenIds]
    """Continuations that can be encoded alone."""
    wholes: dict[str, TokenIds]
    bare: dict[str, TokenIds]
    """Continuations without a context."""

    def context(self, pair: Pair) -> TokenIds:
        """Token ids of the context alone; the prefix token if it is empty."""
        return self.contexts[pair[0]] if pair[0] else self.whole(pair)[:1]

    def whole(self, pair: Pair) -> TokenIds:
        """Token ids of context and continuation together."""
        if not pair[0]:
            return self.encoder.after_prefix(self.bare[pair[1]])
        return self.contexts[pair[0]] + self.apart[pair] if pair in self.apart else self.wholes["".join(pair)]


def _document(encodings: _Encodings, pairs: Sequence[Pair], encoding: Encoding) -> list[Encoded] | str:
    try:
        found = [_split(encodings, pair) for pair in pairs]
        if all(joined is False for _, joined in found):
            return [Encoded(request) for request, _ in found if request]
        if encoding == "lm_eval" and all(request for request, _ in found):
            return [Encoded(request, joined=True) for request, _ in found if request]
        requests = shared_requests(
            [context for context, _ in pairs],
            [encodings.context(pair) for pair in pairs],
            [encodings.whole(pair) for pair in pairs],
            lambda: encodings.encoder.prefix,
            encodings.encoder.tokenizer.decode,
        )
        return [Encoded(request, joined=True, realigned=True) for request in requests]
    except ValueError as error:
        return str(error)


def _split(encodings: _Encodings, pair: Pair) -> tuple[ScoreRequest | None, bool]:
    """The request by lm-eval's slice, if there is one, and whether a token spans the pair."""
    context, continuation = pair
    if not context:
        ids = encodings.bare[continuation]
        if not ids:
            raise ValueError(f"The continuation {continuation!r} encodes to no token.")
        whole = encodings.encoder.after_prefix(ids)
        return ScoreRequest(whole[:1], whole[1:]), False
    before = encodings.contexts[context]
    if pair in encodings.apart:
        return ScoreRequest(before, encodings.apart[pair]), False
    whole = encodings.wholes[context + continuation]
    rest = whole[len(before) :]
    joined = not before or not rest or whole[: len(before)] != before
    if not whole:
        raise ValueError("A context and its continuation encode to no token.")
    return (ScoreRequest(before, rest) if before and rest else None), joined


def encode_last_tokens(
    tokenizer: Tokenizer, documents: Sequence[Sequence[Pair]], bos: Bos
) -> list[list[Encoded] | str]:
    """Encode each context alone; the continuation is the last token of its text encoded alone.

    This is the rule of MMLU's first implementation (hendrycks/test, evaluate_hf.py):
    `tokenizer("A").input_ids[-1]`, which is the letter with a blank before it for SentencePiece tokenizers,
    and without a blank for byte-level BPE. Tokens that the tokenizer appends are ignored.

    Raises:
        ValueError: as in `encode_documents`.
    """
    pairs = [pair for group in documents for pair in group]
    contexts = encode_contexts(tokenizer, [context for context, _ in pairs], bos)
    ids = TextEncoder(tokenizer, "never").ids(text for _, text in pairs if text)
    by_pair = dict(zip(pairs, contexts, strict=True))
    return [_last_tokens([(by_pair[pair], pair[1]) for pair in group], ids) for group in documents]


def _last_tokens(
    pairs: Sequence[tuple[TokenIds | str, str]], ids: dict[str, TokenIds]
) -> list[Encoded] | str:
    encoded = []
    for context, text in pairs:
        if isinstance(context, str):
            return context
        if not ids.get(text):
            return f"The continuation {text!r} encodes to no token."
        encoded.append(Encoded(ScoreRequest(context, ids[text][-1:])))
    return encoded


def encode_contexts(tokenizer: Tokenizer, texts: Sequence[str], bos: Bos) -> list[TokenIds | str]:
    """Encode contexts for generation, or give the reason why one fails; equal texts share one tuple.

    An empty context becomes the prefix token, as in `encode_documents`.

    Raises:
        ValueError: as in `encode_documents`.
    """
    encoder = TextEncoder(tokenizer, bos)
    ids = encoder.ids(text for text in texts if text)
    return [ids[text] if text else _prefix_or_problem(encoder) for text in texts]


def _prefix_or_problem(encoder: TextEncoder) -> TokenIds | str:
    try:
        return encoder.prefix
    except ValueError as error:
        return str(error)


def _move_trailing_space(context: str, continuation: str) -> Pair:
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation


def _empty_continuation(pairs: Sequence[Pair]) -> str:
    context = next(context for context, text in pairs if not text)
    return f"Empty continuation after the context that ends in {context[-40:]!r}."
