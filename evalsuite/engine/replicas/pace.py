"""How long a worker may be silent, derived from the workers' pace in this run; pure, without Ray."""

from dataclasses import dataclass, field

FACTOR = 20.0
"""Multiple of a part's time at the slowest pace so far: machines are shared, and texts may be long."""
LEAST = 600.0
"""Least time limit of a part, in seconds."""
AT_START = 60.0
"""Least limit, in seconds, of a process's start, regardless of the user's: packages have to be imported."""
FIRST = 3600.0
"""Time limit, in seconds, without a known pace: loading weights, the first part (kernels compile)."""


@dataclass
class Pace:
    """The pace of the workers so far."""

    limit: float | None = None
    """The user's time limit in seconds, which replaces the derived one."""
    _slowest: dict[str, float] = field(default_factory=dict)
    """Most seconds per planned token, by kind of work."""

    def took(self, kind: str, tokens: int, seconds: float) -> None:
        """Record that a part of `tokens` planned tokens was answered in `seconds`."""
        self._slowest[kind] = max(self._slowest.get(kind, 0.0), seconds / max(tokens, 1))

    def bound(self, kind: str, tokens: int) -> float:
        """Seconds of silence after which a worker with a part of `tokens` planned tokens counts as hung.

        `kind` is "score" or "generate"; "load" while the weights are loading; "start" until a worker has
        described itself.
        """
        if self.limit is not None:
            return max(self.limit, AT_START) if kind == "start" else self.limit
        if kind not in self._slowest:
            return FIRST
        return max(LEAST, FACTOR * self._slowest[kind] * tokens)
