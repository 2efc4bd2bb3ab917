"""Runs that are killed: the command line in processes of its own, each of which writes down what it computes.

python killed.py FOLDER ARGUMENT...   the command line, once
python killed.py FOLDER               one fork of the command line for each line of arguments (JSON) on
                                      standard input; torch is imported once, so that ten runs take seconds

`FOLDER/computed.jsonl` gets a line for every block of answers, before the runner hears of it;
`FOLDER/stderr.txt` what the runs say.
"""

import json
import os
import sys
from functools import partialmethod
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # threads that wait for each other on a busy machine take minutes

PASS = 200
"""Tokens of a pass, so that a run of thousands has many blocks between which it can be killed."""


def watch(engine: type, folder: Path) -> None:
    """Make every engine of this class work in small passes and write down its blocks."""
    from evalsuite.engine.protocol import Answered
    from evalsuite.results.store import request_key

    def watched(kind):
        original = getattr(engine, kind)

        def blocks(self, requests, answered=()):
            for block in original(self, requests, answered):
                if isinstance(block, Answered):
                    keys = [request_key(request, self.identity).hex() for request, _ in block.answers]
                    line = {"pid": os.getpid(), "kind": kind, "keys": keys, "tokens": block.tokens}
                    with open(folder / "computed.jsonl", "a") as file:
                        file.write(json.dumps(line) + "\n")
                yield block

        setattr(engine, kind, blocks)

    watched("score")
    watched("generate")
    engine.__init__ = partialmethod(engine.__init__, token_budget=PASS)


def command_line(folder: Path, arguments: list[str]) -> None:
    from evalsuite.cli import main

    stderr = os.open(folder / "stderr.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(stderr, 2)
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    sys.argv = ["evalsuite", *arguments]
    main()


def main(folder: Path, arguments: list[str]) -> None:
    from evalsuite.engine.native.engine import TransformersEngine

    watch(TransformersEngine, folder)
    if arguments:
        command_line(folder, arguments)
        return
    # What a run imports; none of it may start threads before the fork.
    from transformers import AutoTokenizer, LlamaForCausalLM  # noqa: F401

    import evalsuite.api
    import evalsuite.runs.execute  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if not child:
            sys.stdin = open(os.devnull)  # noqa: SIM115
            try:
                command_line(folder, json.loads(line))
            except SystemExit as end:
                os._exit(end.code or 0)
            os._exit(0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
