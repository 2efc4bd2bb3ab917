"""Exit code 3 for malformed input in commands whose exit codes 1 and 2 are verdicts."""

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
    """Turn a user's mistake into one sentence and exit code 3."""
    try:
        yield
    except UserError as error:
        warn(f"evalsuite: {error}")
        raise typer.Exit(MALFORMED) from None


class DecisionCommand(Command):
    """A command whose usage errors exit with code 3, too."""

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        """Parse as typer does; usage errors get exit code 3."""
        try:
            return super().make_context(*arguments, **settings)
        except Exception as error:
            if getattr(error, "exit_code", None) == 2:
                error.exit_code = MALFORMED  # type: ignore[attr-defined]
            raise
