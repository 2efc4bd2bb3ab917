"""What all verbs share on the command line."""

import re
from itertools import pairwise
from typing import Any

from typer.core import TyperCommand

EMPTY_OPTION = re.compile(r"--[\w-]+=")


class Command(TyperCommand):
    """A verb that takes no empty value: behind it stands a variable of the shell that is not set."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer does; fails on an empty value."""
        for before, value in pairwise(["", *args]):
            if value and not EMPTY_OPTION.fullmatch(value):
                continue
            name = value or before
            of = f"of {name.rstrip('=')} " if name.startswith("-") else ""
            ctx.fail(f"The value {of}is empty; give a value or leave the option out.")
        return super().parse_args(ctx, args)
