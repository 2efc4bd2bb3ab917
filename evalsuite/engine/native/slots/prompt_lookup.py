"""Guesses at the next tokens of a text from the text itself, to be checked by one pass over all of them.

Where few rows are at work a pass takes as long as it takes to read the weights, for one token of a row or for
several. Answers repeat their prompts and themselves: what followed the last tokens when they stood in the
text before is guessed to follow again ("prompt lookup decoding", Saxena 2023; speculative decoding, Leviathan
et al. 2023). Greedy rows only: a guess is kept up to the first token that is not the most probable one, so
texts stay the same.
"""

from collections.abc import Sequence

CONTEXT_TOKENS = (4, 2)
"""Last tokens of a text that are looked for in it; the first of these that was there before decides."""
FIRST_GUESS = 3
"""Tokens that are guessed of a text whose guesses have not been checked yet."""


class PromptLookup:
    """Guesses for one text; reads what is added to it when it is asked."""

    def __init__(self, context: Sequence[int], answer: Sequence[int]) -> None:
        """Follow `answer`, which grows, after `context`."""
        self._text = list(context)
        self._answer = answer
        self._read = 0
        """Tokens of the answer in the text."""
        self._next: dict[tuple[int, ...], int] = {}
        """Where the text went on after some tokens, the last time."""
        self._indexed = 0
        self._most = FIRST_GUESS

    def guess(self, most: int) -> list[int]:
        """At most so many tokens that may come next; none where nothing is known."""
        self._catch_up()
        at = self._last_time()
        if at is None:
            return []
        # A text that repeats itself is read on into the guess.
        text, end = self._text, len(self._text)
        period = end - at
        return [text[at + step % period] for step in range(min(most, self._most))]

    def record_acceptance(self, guessed: int, right: int) -> None:
        """Guess more of a text whose guesses were right, and little more than was right of another."""
        self._most = 2 * guessed + 1 if right == guessed else right + 1

    def _catch_up(self) -> None:
        self._text += self._answer[self._read :]
        self._read = len(self._answer)
        text = self._text
        for at in range(max(self._indexed, 1), len(text)):
            for count in CONTEXT_TOKENS:
                if at >= count:
                    self._next[tuple(text[at - count : at])] = at
        self._indexed = len(text)

    def _last_time(self) -> int | None:
        for count in CONTEXT_TOKENS:
            at = self._next.get(tuple(self._text[-count:]))
            if at is not None:
                return at
        return None
