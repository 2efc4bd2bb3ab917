"""`python -m evalsuite` is the command `evalsuite`."""

from evalsuite.cli import main

main()
