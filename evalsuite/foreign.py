"""What evalsuite asks of a task that another harness defines: its own documents, prompts and verdicts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from evalsuite.data.subset import Subset
from evalsuite.errors import UserError
from evalsuite.types import Sample

if TYPE_CHECKING:
    from evalsuite.registry.registry import Selected
    from evalsuite.requests.prepare import PreparedTask


class ForeignTask(Protocol):
    """A definition, found but not yet loaded."""

    @property
    def unsafe_code(self) -> bool:
        """Whether judging runs model-written code outside evalsuite's sandbox."""
        ...

    def prepare(self, selected: "Selected", data_dir: Path | None, subset: Subset) -> "PreparedTask":
        """Its documents and prompts; raises UserError where its data or code is missing."""
        ...


class ForeignScoring(Protocol):
    """How the other harness judges answers."""

    def judge(self, samples: Sequence[Sample]) -> list[Sample]:
        """The answered samples with their verdicts, or failed where the other harness failed."""
        ...

    def corpus_score(self, metric: str, samples: Sequence[Sample]) -> float | None:
        """The score of a metric that is not a mean over documents; None where it is."""
        ...


def refuse_unsafe_code(tasks: Sequence["Selected"], allowed: bool) -> None:
    """Raises UserError where a definition runs model-written code and the user has not allowed it."""
    for one in tasks:
        if one.foreign is not None and one.foreign.unsafe_code and not allowed:
            raise UserError(
                f"{one.name} runs model-written code outside the sandbox, as lm-eval's definition does; allow it with "
                "--allow-unsafe-code."
            )
