"""Teams of two processes, forked from one that has imported torch, so that a team starts in no time.

Each line of standard input asks for one: [RESULT, MODEL, DTYPE, TROUBLE] as JSON. The first process writes to
RESULT what the team answers, what each one says goes to RESULT.0 and RESULT.1; a line of exit codes is the
reply. TROUBLE is what happens to one of them: see `TROUBLES` and `RUNS`. Nobody ends one when the other
fails, as torchrun would; who does not end by itself in two minutes has the exit code null.
"""

import json
import os
import sys
import traceback
from functools import partial
from pathlib import Path

import evalsuite.cli
from evalsuite.checkpoints import resolve
from evalsuite.engine.protocol import answers_in
from evalsuite.engine.tensor_parallel.ranks import Ranks
from evalsuite.errors import StorageError, UserError
from evalsuite.types import GenerateRequest, ScoreRequest
from tests.forked import exit_codes

SHOTS = tuple(range(20, 30))
SCORES = [
    ScoreRequest((*SHOTS, *range(100, 100 + length)), (3, choice))
    for length in range(1, 12)
    for choice in (4, 5)
]
LONG = tuple(range(2, 72))
TEXTS = [GenerateRequest((*LONG, *range(9, 9 + own)), (), 6) for own in (1, 4, 2, 7)] + [
    GenerateRequest((*SHOTS, 9), (), 6, 1.0, 0.9, 5, sample) for sample in range(3)
]


def answered(engine) -> dict:
    scores = dict(answers_in(engine.score(SCORES)))
    texts = dict(answers_in(engine.generate(TEXTS)))
    again = dict(answers_in(engine.score(SCORES, answered=SCORES[4:])))
    return {
        "numerics": engine.identity.numerics,
        "notes": engine.notes,
        "scores": [scores[one].log_probs for one in SCORES],
        "texts": [texts[one].text for one in TEXTS],
        "again": [again[one].log_probs for one in SCORES[:4]],
        "parts": len(engine.partition(SCORES)),
    }


def killed(rank: int) -> None:
    import evalsuite.engine.native.score_packed as packed

    packed.run_body = (lambda *_: os._exit(9)) if rank == 1 else packed.run_body


def without_memory(rank: int) -> None:
    import evalsuite.engine.native.score_packed as packed

    def full(*_):
        raise MemoryError

    packed.run_body = full if rank == 1 else packed.run_body


def not_stored(engine) -> dict:
    for _ in answers_in(engine.score(SCORES)):
        raise StorageError("No space is left.")
    raise AssertionError


def identity_first(engine) -> dict:
    """As a run does it: the identity is in the keys of the answers. Nobody has tried the model yet."""
    known = engine.knows_identity
    return {"known": known, "first": engine.identity.numerics, **answered(engine)}


def nothing_to_do(engine) -> dict:
    return {"nothing": True}


def refused(engine) -> dict:
    raise UserError("The data set is not there.")


TROUBLES = {"killed": killed, "without_memory": without_memory}
RUNS = {
    "identity_first": identity_first,
    "not_stored": not_stored,
    "nothing_to_do": nothing_to_do,
    "refused": refused,
}


def main(result: Path, model: str, dtype: str, trouble: str = "") -> None:
    from evalsuite.engine.native.tried import TriedModel
    from evalsuite.engine.tensor_parallel.engine import TensorParallelEngine

    team = Ranks.of_torchrun(os.environ)
    engine = TensorParallelEngine(resolve(model), team=team, device="cpu", dtype=dtype, token_budget=24)
    if trouble in TROUBLES:
        # After the trials, which all of them pass.
        load = TriedModel.load

        def spoiled(self):
            load(self)
            TROUBLES[trouble](team.rank)

        TriedModel.load = spoiled
    found = engine.run_on_rank_zero(lambda: RUNS.get(trouble, answered)(engine))
    if team.rank == 0:
        result.write_text(json.dumps(found), "utf-8")


def start(rank: int, port: int, result: str, arguments: list[str]) -> int:
    """Process id of one of the team."""
    child = os.fork()
    if child:
        return child
    os.dup2(os.open(f"{result}.{rank}", os.O_WRONLY | os.O_CREAT), 2)
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    evalsuite.cli.app = lambda **_: main(
        Path(result), *arguments
    )  # errors are told as the command line tells them
    code = 70
    try:
        evalsuite.cli.main()
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM  # noqa: F401 - before the fork

    import evalsuite.engine.tensor_parallel.engine  # noqa: F401

    for line in sys.stdin:
        result, *arguments = json.loads(line)
        begin = partial(start, result=result, arguments=arguments)
        codes = exit_codes(begin, seconds=120)
        print(json.dumps(codes), flush=True)


if __name__ == "__main__":
    serve()
