"""The command line: one small module per command, each a thin shell over the library."""

import os
import sys
import traceback

from evalsuite.cli import interrupts
from evalsuite.cli.app import app
from evalsuite.cli.say import warn
from evalsuite.cli.streams import prepare_streams
from evalsuite.errors import ProcessError, UserError
from evalsuite.visible import refuse_undecodable


def main() -> None:
    """Run the command line.

    A user's mistake prints one sentence and exits with code 2. A bug of evalsuite prints one sentence, writes
    a file to attach to an issue, and exits with code 70. Under torchrun only rank 0 prints.
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
    except KeyboardInterrupt:  # Before typer, which has a handler of its own, reads the command.
        sys.exit(interrupts.INTERRUPTED)
    except Exception as error:  # Anything else is a bug of ours.
        from evalsuite.cli import crash

        _say(error, crash.write_crash_report(error, sys.argv[1:]))
        sys.exit(crash.UNEXPECTED)


def _say(error: Exception, sentence: str) -> None:
    if "--verbose" in sys.argv:
        traceback.print_exception(error)
    warn(f"evalsuite: {sentence}")
