"""Majority vote over the answers for one document."""

from collections import Counter
from collections.abc import Sequence


def majority(answers: Sequence[str | None]) -> int | None:
    """Index of the first answer that equals the most frequent one; None if no answer was extracted.

    The earliest answer wins ties (as in `Counter.most_common`, which lm-eval's `majority_vote` filter uses).
    An answer that could not be extracted has no vote; in lm-eval, `[invalid]` votes like any other answer.
    """
    votes = Counter(answer for answer in answers if answer is not None)
    if not votes:
        return None
    [(winner, _)] = votes.most_common(1)
    return answers.index(winner)
