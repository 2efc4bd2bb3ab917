"""The score table as CSV, with all digits."""

from evalsuite.export.publisher import Publisher
from evalsuite.report.export import csv_text
from evalsuite.results.read import RunSide


def csv_files(side: RunSide, publisher: Publisher) -> tuple[dict[str, str], tuple[str, ...]]:
    """One file, with a row per task and metric."""
    return {"scores.csv": csv_text([(side.log.spec.model, side.log)])}, ()
