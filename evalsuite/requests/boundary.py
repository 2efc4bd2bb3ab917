"""Scores all choices from their last common token boundary if a token spans prompt and choice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evalsuite.types import ScoreRequest, TokenIds


@dataclass(slots=True)
class _Group:
    """The choices after one context."""

    context: str
    wholes: list[TokenIds]
    """Context and continuation encoded together, by choice."""
    start: int
    """Number of tokens before the boundary: the common beginning of all wholes, within the context."""
    tail: str | None
    """Text of the context after the boundary; None if it is unknown."""

    @property
    def before(self) -> TokenIds:
        """The tokens before the boundary."""
        return self.wholes[0][: self.start]


def shared_requests(
    contexts: Sequence[str],
    context_ids: Sequence[TokenIds],
    wholes: Sequence[TokenIds],
    prefix: Callable[[], TokenIds],
    decode: Callable[[TokenIds], str],
) -> list[ScoreRequest]:
    """Requests for a document's choices, all of which score the same text before their own.

    The boundary is the last token boundary, at or before the end of the prompt, that the encodings of all
    choices have. If the contexts differ (the two beginnings of a cloze pair), the text from the boundary to
    the end of the context must be the same for all choices.

    Args:
        contexts: context of each choice.
        context_ids: token ids of each context alone.
        wholes: token ids of each context with its continuation.
        prefix: returns the token ids that precede a text without a context.
        decode: returns the text of token ids.

    Raises:
        ValueError: there is no such boundary, or a choice adds no token to its context.
    """
    groups: dict[str, _Group] = {}
    for context, ids, whole in zip(contexts, context_ids, wholes, strict=True):
        group = groups.setdefault(context, _Group(context, [ids], 0, None))
        group.wholes.append(whole)
    for group in groups.values():
        alone, *group.wholes = group.wholes
        group.start = _last_boundary(group, _common_start([alone, *group.wholes]), decode)
        _measure(group, decode)
    if len(groups) > 1:
        _align(list(groups.values()), decode)
    shown = {context: group.before or prefix() for context, group in groups.items()}
    requests = [
        ScoreRequest(shown[context], whole[groups[context].start :])
        for context, whole in zip(contexts, wholes, strict=True)
    ]
    if not all(request.continuation for request in requests):
        raise ValueError("A continuation adds no token to its context.")
    return requests


def _last_boundary(group: _Group, certain: int, decode: Callable[[TokenIds], str]) -> int:
    """The group's boundary: at least `certain` tokens, or more if the context alone has other tokens."""
    start = min(_common_start(group.wholes), certain + 2)
    start = min(start, *(len(whole) - 1 for whole in group.wholes))
    while start > certain and not group.context.startswith(decode(group.wholes[0][:start])):
        start -= 1
    return start if start > certain else certain


def _measure(group: _Group, decode: Callable[[TokenIds], str]) -> None:
    before = decode(group.before)
    group.tail = group.context[len(before) :] if group.context.startswith(before) else None


def _align(groups: Sequence[_Group], decode: Callable[[TokenIds], str]) -> None:
    """Move the boundaries back until the same text follows each."""
    while len({group.tail for group in groups}) > 1:
        tails = [group.tail for group in groups if group.tail is not None]
        longest = max(map(len, tails), default=0)
        short = [group for group in groups if group.tail is not None and len(group.tail) < longest]
        if len(tails) < len(groups) or not short or any(group.tail == group.context for group in short):
            raise ValueError(
                "A token spans the end of the prompt and the beginning of the scored text, and the choices' "
                "prompts differ at that point, so that no text is common to all of them."
            )
        for group in short:
            group.start -= 1
            _measure(group, decode)


def _common_start(rows: Sequence[TokenIds]) -> int:
    """Length of the common beginning of all rows."""
    shortest = min(map(len, rows))
    first = rows[0]
    return next((at for at in range(shortest) if any(row[at] != first[at] for row in rows)), shortest)
