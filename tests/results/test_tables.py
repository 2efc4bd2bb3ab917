"""Scores as a table: exact text."""

import io

from rich.console import Console

from evalsuite.results.runlog import Counts, MetricRecord
from evalsuite.results.tables import markdown_table, remarks, table_rows, terminal_table


def test_the_markdown_table_has_a_row_for_each_metric(finished):
    _, log = finished
    lines = markdown_table(log).splitlines()
    assert lines[:4] == [
        "# scripted",
        "",
        "| task | shots | metric | score | stderr | 95 % interval | n | seconds |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    assert lines[4].startswith("| quiz | 0 | acc_norm | 81.25 | 10.08 | 57.0 to 93.4 | 16 | 0.")
    assert lines[5] == "|  |  | acc | 81.25 | 10.08 | 57.0 to 93.4 | 16 |  |"
    assert lines[-1].startswith("- Model scripted, weights 000000000000, scripted; evalsuite ")


def test_the_file_is_the_table_of_the_log(finished):
    bench, log = finished
    assert (bench.out / "table.md").read_text("utf-8") == markdown_table(log)


def changed(log, **fields):
    """The log with its first task alone, changed."""
    return log.model_copy(update={"tasks": (log.tasks[0].model_copy(update=fields),)})


def test_a_task_without_a_score_shows_a_dash_and_the_count(finished):
    _, log = finished
    counts = Counts(documents=16, scored=14, failed=2)
    log = changed(log, metrics={}, counts=counts, problem="2 of 16 documents have no verdict")
    [row] = table_rows(log)
    assert row[:-1] == ("quiz", "0", "acc_norm", "—", "—", "—", "14/16")
    assert remarks(log)[0] == "quiz: 2 of 16 documents have no verdict; no score."


def test_a_score_that_leaves_documents_out_shows_the_count_beside_it(finished):
    _, log = finished
    counts = Counts(documents=16, scored=14, failed=2)
    metrics = {name: one.model_copy(update={"n": 14}) for name, one in log.tasks[0].metrics.items()}
    problem = "2 of 16 documents have no verdict"
    log = changed(log, counts=counts, problem=problem, metrics=metrics)
    assert [row[6] for row in table_rows(log)] == ["14/16", "14/16"]
    assert remarks(log)[0] == "quiz: 2 of 16 documents have no verdict."


def test_one_document_has_a_score_without_an_error(finished):
    _, log = finished
    metric = MetricRecord(value=1.0, stderr=None, low=None, high=None, n=1)
    [row] = table_rows(changed(log, metrics={"acc": metric}))
    assert row[3:6] == ("100.00", "—", "—")


def test_a_loss_is_shown_in_its_own_unit_and_a_subset_with_its_own_documents(finished):
    _, log = finished
    loss = MetricRecord(value=12.34567, stderr=0.5, low=11.4, high=13.3, n=16)
    part = MetricRecord(value=0.5, stderr=0.1, low=0.3, high=0.7, n=4)
    rows = table_rows(changed(log, metrics={"perplexity": loss, "math_500": part}))
    assert [row[2:7] for row in rows] == [
        ("perplexity", "12.3457", "0.5000", "11.400 to 13.300", "16"),
        ("math_500", "50.00", "10.00", "30.0 to 70.0", "4"),
    ]


def test_what_must_be_known_stands_below(finished):
    _, log = finished
    log = changed(
        log,
        notes=("Rows drifted.",),
        source={"status": "inferred", "notes": "From the number of shots."},
        counts=Counts(documents=16, scored=16, shots_dropped=3, cut=5, at_window=3, shortened=4),
    )
    assert remarks(log.model_copy(update={"notes": ("slow kernels",)})) == [
        "quiz: Rows drifted.",
        "quiz: the protocol is inferred: From the number of shots.",
        "quiz: 3 documents have fewer shots, to fit the context window.",
        "quiz: the beginning of 4 prompts was cut, to leave space for the answer in the context window.",
        "quiz: 2 generated texts ended at the token limit.",
        "quiz: 3 generated texts ended at the context window, before their token limit.",
        "slow kernels",
    ]


def test_the_terminal_shows_every_cell(finished):
    _, log = finished
    console = Console(file=io.StringIO(), width=120)
    console.print(terminal_table(log))
    shown = console.file.getvalue()
    for row in table_rows(log):
        for cell in row:
            assert cell in shown


def test_a_narrow_terminal_folds_names_and_cuts_nothing(finished):
    _, log = finished
    name = "lm_eval/a_task_with_a_long_name:letters@25"
    console = Console(file=io.StringIO(), width=80)
    console.print(terminal_table(changed(log, name=name)))
    shown = console.file.getvalue()
    assert "…" not in shown
    first_column = [line.split("│")[1].strip() for line in shown.splitlines() if line.startswith("│")]
    assert "".join(first_column) == name


def test_near_ties_are_told_beside_the_score(finished):
    _, log = finished
    log = changed(log, counts=Counts(documents=16, scored=16, near_ties=3))
    for numerics, threshold in (
        ("transformers bfloat16 cuda", "0.25 nats"),
        ("transformers bfloat16 cuda rounded-scores", "0.25 nats and a rounding step of their data type"),
    ):
        of_these = log.model_copy(update={"model": log.model.model_copy(update={"numerics": numerics})})
        assert (
            f"quiz: the two best choices of 3 of 16 documents are closer than {threshold}, the rounding of "
            "these numerics."
        ) in remarks(of_these)


def test_what_happened_to_prompts_on_their_way_to_tokens_is_told(finished):
    _, log = finished
    counts = Counts(
        documents=16,
        scored=16,
        shots_dropped=1,
        fewer_shots=2,
        among_shots=3,
        joined=9,
        realigned=4,
        scored_bos=5,
    )
    told = "\n".join(remarks(changed(log, counts=counts)))
    for words in (
        "1 documents have fewer shots, to fit",
        "2 documents have fewer shots, since they are among the shots themselves",
        "the prompts of 3 of 16 documents contain the document itself",
        "in 4 of 16 documents a token spans",
        "in 5 of 16 documents a token spans",
        "of 5 of 16 texts",
    ):
        assert words in told
