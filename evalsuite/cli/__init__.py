"""The command line: one small module per verb, thin shells over the library."""

import os
import sys
import traceback

from evalsuite.cli import crash, interrupts
from evalsuite.cli.app import app
from evalsuite.cli.say import warn
from evalsuite.cli.streams import prepare_streams
from evalsuite.errors import ProcessError, UserError
from evalsuite.visible import refuse_undecodable


def main() -> None:
    """Run the command line.

    A user's mistake is one sentence and exit code 2; a fault of ours is one sentence, a file to send and exit
    code
    70. Of several processes that torchrun started the first one speaks for all.
    """
    prepare_streams()
    interrupts.listen()
    try:
        for word in sys.argv[1:]:
            refuse_undecodable("Argument", word)
        app(standalone_mode=True)
    except UserError as error:
        if os.environ.get("RANK", "0") == "0" or isinstance(error, ProcessError):
            _say(error, str(error))
        sys.exit(2)
    except Exception as error:  # The last stop: whatever nobody expected.
        _say(error, crash.report(error, sys.argv[1:]))
        sys.exit(crash.UNEXPECTED)


def _say(error: Exception, sentence: str) -> None:
    if "--verbose" in sys.argv:
        traceback.print_exception(error)
    warn(f"evalsuite: {sentence}")
