"""Prompt lookup: draft tokens taken from the text itself, which one forward pass verifies together.

With few active rows, a pass takes as long as reading the weights, for one token per row or for several.
Answers repeat their prompts and themselves: the tokens that followed the last occurrence of the newest tokens
are drafted to follow again ("prompt lookup decoding", Saxena 2023; speculative decoding, Leviathan et al.
2023). Greedy rows only: draft tokens are accepted up to the first that is not the most probable token, so
that texts stay the same.
"""

from collections.abc import Sequence

CONTEXT_TOKENS = (4, 2)
"""How many newest tokens to search for in the text; the first length that occurs earlier decides."""
FIRST_GUESS = 3
"""Draft tokens for a text whose draft tokens have not been verified yet."""


class PromptLookup:
    """Draft tokens for one text; reads new tokens of the answer when it is called."""

    def __init__(self, context: Sequence[int], answer: Sequence[int]) -> None:
        """Draft from `context` and `answer`, a sequence that grows."""
        self._text = list(context)
        self._answer = answer
        self._read = 0
        """Tokens of the answer that are in the text."""
        self._next: dict[tuple[int, ...], int] = {}
        """Index in the text after the last occurrence of a sequence of tokens."""
        self._indexed = 0
        self._most = FIRST_GUESS

    def guess(self, most: int) -> list[int]:
        """At most `most` draft tokens; none if the newest tokens have no earlier occurrence."""
        self._catch_up()
        start = self._last_occurrence()
        if start is None:
            return []
        # Where the text ends, the draft continues with its own first tokens: a text that repeats itself.
        text, end = self._text, len(self._text)
        period = end - start
        return [text[start + step % period] for step in range(min(most, self._most))]

    def record_acceptance(self, guessed: int, right: int) -> None:
        """Draft more if all `guessed` tokens were accepted, else one more than the `right` ones."""
        self._most = 2 * guessed + 1 if right == guessed else right + 1

    def _catch_up(self) -> None:
        self._text += self._answer[self._read :]
        self._read = len(self._answer)
        text = self._text
        for index in range(max(self._indexed, 1), len(text)):
            for count in CONTEXT_TOKENS:
                if index >= count:
                    self._next[tuple(text[index - count : index])] = index
        self._indexed = len(text)

    def _last_occurrence(self) -> int | None:
        for count in CONTEXT_TOKENS:
            index = self._next.get(tuple(self._text[-count:]))
            if index is not None:
                return index
        return None
