"""What a run under torchrun hands to the engine of its team."""

import pytest

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.tensor_parallel import engine as tensor_parallel
from evalsuite.engine.tensor_parallel.ranks import Ranks
from evalsuite.engine.token_options import TokenOptions
from evalsuite.errors import UserError
from evalsuite.results.run_spec import RunSpec
from evalsuite.runs.options import Execution
from evalsuite.runs.torchrun import execute_in_team


def test_the_engine_gets_what_the_user_says_of_tokens_and_its_own_settings(monkeypatch, tmp_path):
    given = {}

    def made(files, **options):
        given.update(options)
        raise UserError("made")

    monkeypatch.setattr(tensor_parallel, "TensorParallelEngine", made)
    spec = RunSpec(
        tasks=("tiny/quiz:cloze@0",),
        model="m",
        tokenizer="other",
        prefix_token="<s>",
        max_length=64,
        engine_args=("deterministic=yes",),
    )
    with pytest.raises(UserError, match="made"):
        execute_in_team(Ranks(0, 0, 2), spec, [], ModelFiles.elsewhere("m"), Execution(tmp_path))
    assert given["tokens"] == TokenOptions("other", "<s>", 64)
    assert given["arguments"] == {"deterministic": "yes"}
