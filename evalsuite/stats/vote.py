"""Majority vote over the answers of one document."""

from collections import Counter
from collections.abc import Sequence


def majority(answers: Sequence[str | None]) -> int | None:
    """Place of the first answer that equals the most frequent one; None where no answer was found.

    Answers tied for most votes: the one that was given first wins (as `Counter.most_common`, which lm-eval's
    `majority_vote` filter takes). An answer that could not be extracted has no vote; lm-eval lets its
    `[invalid]` vote like any other.
    """
    votes = Counter(answer for answer in answers if answer is not None)
    if not votes:
        return None
    [(winner, _)] = votes.most_common(1)
    return answers.index(winner)
