"""What stands in for a GPU's graphs: steps that are run again, into the same output, when they are
replayed."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from evalsuite.engine.native.slots.graphs import Graphing, Recorded


class RunAgain:
    """Replays by running."""

    def __init__(self, step: Callable[[], torch.Tensor]) -> None:
        self.step = step
        self.output: torch.Tensor | None = None

    def replay(self) -> torch.Tensor:
        found = self.step()
        if self.output is None:
            self.output = torch.empty_like(found)
        return self.output.copy_(found)


@dataclass
class StandIn:
    """Records nothing but the step itself; like a GPU's graphs it runs nothing while it does."""

    make: Callable[[Callable[[], torch.Tensor]], Recorded] = RunAgain
    recorded: list[Recorded] = field(default_factory=list)

    def warm_up(self, step: Callable[[], torch.Tensor]) -> None:
        step()
        step()

    def record(self, step: Callable[[], torch.Tensor], beside: Recorded | None) -> Recorded:
        assert beside is None or beside in self.recorded
        self.recorded.append(self.make(step))
        return self.recorded[-1]


def graphing(make: Callable[[Callable[[], torch.Tensor]], Recorded] = RunAgain) -> Graphing:
    return Graphing(StandIn(make), allowed=1e-3)
