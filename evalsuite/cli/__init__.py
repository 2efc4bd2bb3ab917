"""The command line: one small module per verb, thin shells over the library."""

import sys

from evalsuite.cli.app import app
from evalsuite.errors import UserError


def main() -> None:
    """Run the command line; what a user can mend is one sentence and exit code 2."""
    try:
        app(standalone_mode=True)
    except UserError as error:
        sys.stderr.write(f"evalsuite: {error}\n")
        sys.exit(2)
