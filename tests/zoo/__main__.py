"""Writes the table of `docs/models.md`: `python -m tests.zoo docs/models.md`."""

import sys
from collections import Counter
from pathlib import Path

import torch
import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from tests.zoo.comparing import Outcome, compare

WINDOWS = (8, 32)
BEGIN = "<!-- table -->"
"""What stands before this line in the page is kept."""


def main(page: Path) -> int:
    """Compare every architecture at each window and write the table; 1 if an architecture is wrong."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    by_family: dict[str, list[Outcome]] = {}
    for family in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        by_family[family] = [compare(family, window) for window in WINDOWS]
        for outcome in by_family[family]:
            print(outcome, flush=True)
    page.write_text(page.read_text("utf-8").partition(BEGIN)[0] + BEGIN + "\n\n" + table(by_family), "utf-8")
    return int(any(outcome.wrong for outcomes in by_family.values() for outcome in outcomes))


def table(by_family: dict[str, list[Outcome]]) -> str:
    """Counts, and a row for each architecture: the first outcome that is wrong, else the last."""
    shown = [next((one for one in of if one.wrong), of[-1]) for of in by_family.values()]
    counts = (
        ", ".join(
            f"{count} {form}" for form, count in Counter(getattr(one, part) for one in shown).most_common()
        )
        for part in ("scoring", "texts")
    )
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}"
    lines = [
        f"{len(shown)} architectures ({versions}). Scores: {next(counts)}. Texts: {next(counts)}.",
        "",
        "| architecture | scores | texts | reason |",
        "| --- | --- | --- | --- |",
        *(
            f"| {one.family} | {one.scoring} | {one.texts} | {cell(one)} |"
            for one in sorted(shown, key=lambda one: one.family)
        ),
    ]
    return "\n".join(lines) + "\n"


def cell(outcome: Outcome) -> str:
    """What is said of an architecture, in a cell of a table."""
    said = f"WRONG: {outcome.wrong}" if outcome.wrong else outcome.reason
    return said.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
