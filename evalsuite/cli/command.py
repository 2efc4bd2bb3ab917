"""The base class of all commands."""

import re
from itertools import pairwise
from typing import Any

from typer.core import TyperCommand

from evalsuite.errors import plain_message

EMPTY_OPTION = re.compile(r"--[\w-]+=")


class Command(TyperCommand):
    """A command that refuses empty values, since they usually come from an unset shell variable."""

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        """Parse as typer does; usage errors lose pydantic's prefix, which recent versions of typer show."""
        try:
            return super().make_context(*arguments, **settings)
        except Exception as error:
            message = getattr(error, "message", None)
            if isinstance(message, str):
                error.message = plain_message(message)  # type: ignore[attr-defined]  # of every usage error
            raise

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as typer does; fail on an empty value."""
        for before, value in pairwise(["", *args]):
            if value and not EMPTY_OPTION.fullmatch(value):
                continue
            name = value or before
            of = f"of {name.rstrip('=')} " if name.startswith("-") else ""
            ctx.fail(f"The value {of}is empty; give a value or omit the option.")
        return super().parse_args(ctx, args)
