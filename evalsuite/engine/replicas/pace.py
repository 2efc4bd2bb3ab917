"""How long a worker may be silent: by the pace at which workers of this run have answered. Pure, without
Ray."""

from dataclasses import dataclass, field

FACTOR = 20.0
"""Times the seconds that the slowest answer so far would mean for a part: machines are shared, and texts may
be long."""
LEAST = 600.0
"""Seconds that every part is given."""
AT_START = 60.0
"""Seconds that a process has at least, whatever the user says, until its first word: packages are
imported."""
FIRST = 3600.0
"""Seconds for what no pace is known of: loading weights, and the first part, in which kernels may be
compiled."""


@dataclass
class Pace:
    """What is known of the workers' speed."""

    limit: float | None = None
    """Seconds that the user allows in place of what the pace says."""
    _slowest: dict[str, float] = field(default_factory=dict)
    """By kind of work: most seconds per planned token."""

    def took(self, kind: str, tokens: int, seconds: float) -> None:
        """A part of so many planned tokens was answered."""
        self._slowest[kind] = max(self._slowest.get(kind, 0.0), seconds / max(tokens, 1))

    def bound(self, kind: str, tokens: int) -> float:
        """Seconds after which a worker that is at such a part and has said nothing counts as hung.

        `kind` is "score" or "generate"; "load" for loading the weights, "start" until a worker has described
        itself.
        """
        if self.limit is not None:
            return max(self.limit, AT_START) if kind == "start" else self.limit
        if kind not in self._slowest:
            return FIRST
        return max(LEAST, FACTOR * self._slowest[kind] * tokens)
