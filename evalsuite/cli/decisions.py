"""What the verbs that judge runs share: malformed input is exit code 3, since 1 and 2 are verdicts of
theirs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from evalsuite.cli.command import Command
from evalsuite.cli.say import warn
from evalsuite.errors import UserError

MALFORMED = 3


@contextmanager
def malformed_input() -> Iterator[None]:
    """Turns what a user can fix into one sentence and exit code 3."""
    try:
        yield
    except UserError as error:
        warn(f"evalsuite: {error}")
        raise typer.Exit(MALFORMED) from None


class DecisionCommand(Command):
    """A verb whose usage errors have exit code 3 too."""

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        """As typer does, with another exit code on the errors."""
        try:
            return super().make_context(*arguments, **settings)
        except Exception as error:
            if getattr(error, "exit_code", None) == 2:
                error.exit_code = MALFORMED  # type: ignore[attr-defined]
            raise
