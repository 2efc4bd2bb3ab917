"""The command line: one small module per verb, thin shells over the library."""

import os
import sys

from evalsuite.cli.app import app
from evalsuite.errors import ProcessError, UserError


def main() -> None:
    """Run the command line; what a user can mend is one sentence and exit code 2.

    Of several processes that torchrun started the first one speaks for all.
    """
    try:
        app(standalone_mode=True)
    except UserError as error:
        if os.environ.get("RANK", "0") == "0" or isinstance(error, ProcessError):
            sys.stderr.write(f"evalsuite: {error}\n")
        sys.exit(2)
