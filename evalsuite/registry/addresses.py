"""The grammar of task addresses: `[recipe/]task[:format][@shots]`."""

import re
from dataclasses import dataclass

from evalsuite.errors import UserError

_GRAMMAR = re.compile(
    r"(?:(?P<recipe>[A-Za-z0-9_-]+)/)?(?P<task>[A-Za-z0-9_.*?-]+)"
    r"(?::(?P<form>[A-Za-z0-9_]+))?(?:@(?P<shots>\d+))?"
)


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed task address; missing parts are None."""

    task: str
    """A name, or a pattern with `*` and `?`."""
    recipe: str | None = None
    form: str | None = None
    shots: int | None = None

    @property
    def is_pattern(self) -> bool:
        """Whether the address can match several tasks."""
        return any(wildcard in self.task for wildcard in "*?")


def parse_address(text: str) -> Address:
    """Parse an address; raises UserError that shows the grammar if `text` is not an address."""
    match = _GRAMMAR.fullmatch(text.strip())
    if match is None:
        raise UserError(
            f"'{text}' is not a task address; write [recipe/]task[:format][@shots], for example mmlu, "
            "lm_eval/arc_challenge@25 or nemotron_h/*."
        )
    shots = match["shots"]
    return Address(match["task"], match["recipe"], match["form"], int(shots) if shots else None)


def split_addresses(texts: str | list[str]) -> list[str]:
    """Split one or several strings of comma-separated addresses, and strip blanks."""
    joined = texts if isinstance(texts, str) else ",".join(texts)
    return [part.strip() for part in joined.split(",") if part.strip()]


def file_stem(name: str) -> str:
    """File name of a task: its shortest address with dots in place of slash and colon."""
    return name.replace("/", ".").replace(":", ".")
