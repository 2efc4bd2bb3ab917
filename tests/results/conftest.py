"""A finished run of every kind of task, made once."""

import pytest

from evalsuite.results.runlog import RunLog
from tests.runs.bench import Bench, oracle


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> tuple[Bench, RunLog]:
    """An engine that errs on documents 0, 5 and 6 of 16."""
    bench = Bench.make(tmp_path_factory.mktemp("finished"))
    prepared = [bench.prepared(address) for address in ("quiz", "pairs", "sums")]
    return bench, bench.execute(oracle(prepared, wrong={0, 5, 6}), "quiz", "pairs", "sums")
