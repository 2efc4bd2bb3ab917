"""A task that says which documents share a source has its standard errors from the sources."""

import pyarrow.parquet as pq
import pytest

from evalsuite.errors import DataError
from tests.runs.bench import PLUGIN, Bench, oracle

CLUSTERED = PLUGIN.replace(
    "prompts=prompts, subtask=subtask)",
    "prompts=prompts, subtask=subtask,\n"
    "                cluster=(lambda row: row['sentence'][4]) if name == 'pairs' else None)",
)


def test_the_standard_error_counts_the_sources(tmp_path):
    bench = Bench.make(tmp_path, plugin=CLUSTERED)
    log = bench.execute(
        oracle([bench.prepared("pairs"), bench.prepared("sums")], wrong={1, 10, 11}), "pairs", "sums"
    )
    found, plain = log.task("pairs").metrics["acc"], log.task("sums").metrics["exact_match"]
    assert (found.n, found.clusters, plain.clusters) == (16, 10, None)  # first digits of 0 to 15
    assert found.value == plain.value == 13 / 16
    assert found.stderr > plain.stderr
    table = pq.read_table(bench.out / "samples" / "pairs.parquet")
    assert table["cluster"].to_pylist()[9:12] == ["9", "1", "1"]


def test_a_row_without_its_source_is_named(tmp_path):
    bench = Bench.make(tmp_path, plugin=CLUSTERED.replace("row['sentence'][4]", "row['passage']"))
    with pytest.raises(DataError, match=r"cannot read row 0 of .*passage"):
        bench.prepared("pairs")
