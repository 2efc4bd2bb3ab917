"""Our prompts are the reference implementations', byte for byte, and so are their draws."""

import hashlib
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.prepare import prepare
from evalsuite.runs.dump import hash_rows
from evalsuite.types import sha256_of
from tests.golden.golden import SHARED, needs_golden, skip_without_side_packages
from tests.golden.prompt_files import ADDRESSES, FOLDERS, MEMBERS, GoldenFile, golden_files

pytestmark = needs_golden


class Case(NamedTuple):
    file: GoldenFile
    prepared: PreparedTask
    ours: list[dict]
    """The documents of which the golden file has the hashes."""
    golden: list[dict]
    """The file's rows, in the columns of ours."""


@pytest.fixture(scope="module", params=ADDRESSES)
def case(request) -> Case:
    file = golden_files()[request.param]
    [selected] = Registry.load().select([ADDRESSES[file.name]])
    skip_without_side_packages(selected.spec, grader=selected.spec.scorer == "nvidia_math")
    split = "validation" if "_validation@" in file.name else None
    invented = file.data != SHARED
    prepared = prepare(selected, data_dir=file.data, split=split, allow_drift=invented)
    golden = pq.read_table(file.folder / f"{file.name}.parquet").to_pylist()
    places = {}  # by member task; MMLU-Pro's split is mixed
    for place, document in enumerate(prepared.documents):
        subtask = MEMBERS.get(file.name, document.subtask).format(document.member.replace("-", "_"))
        places[subtask, document.subtask_index] = place
    numbers = {id(row): number for number, row in enumerate(prepared.data[prepared.split].rows)}
    chosen = [places[row["subtask"], row["doc"]] for row in golden]
    public = []
    for place, ours, row in zip(chosen, hash_rows(prepared, chosen), golden, strict=True):
        more = rows_and_wholes(prepared, place, numbers) if "shot_rows" in row else {}
        public.append(ours | more | {"subtask": row["subtask"]})
    return Case(file, prepared, public, [{column: row[column] for column in public[0]} for row in golden])


def rows_and_wholes(prepared: PreparedTask, place: int, numbers: dict[int, int]) -> dict:
    """The columns that only CORE's files have: row numbers (by id of the row), and hashes of whole texts."""
    prompt, recipe = prepared.prompts[place], prepared.selected.spec.recipe
    texts = ["".join(pair) for pair in prompt.pairs]
    alone = prompt.contexts if len(texts) == 1 and recipe == "core" else ()
    return {
        "row": numbers[id(prepared.documents[place].row)],
        "shot_rows": [numbers[id(row)] for row in prepared.shots[place]],
        "prompts_sha256": [sha256_of(text) for text in (*alone, *texts)],
    }


def comparable(ours: dict, golden: dict) -> dict:
    """Our row with its gold answer as the reference writes it: none, or a letter in brackets."""
    gold = golden["gold"]
    return ours | {"gold": None if gold is None else f"({ours['gold']})" if gold[0] == "(" else ours["gold"]}


def test_every_public_document_equals_the_reference_in_every_column(case):
    assert len(case.ours) == len(case.golden) == case.file.entry.get("n_rows", len(case.golden))
    pairs = zip(case.ours, case.golden, strict=True)
    differing = [(ours, golden) for ours, golden in pairs if comparable(ours, golden) != golden]
    assert not differing, f"{len(differing)} of {len(case.golden)} differ, the first: {differing[0]}"


def test_contexts_and_counts_equal_the_index(case):
    entry = case.file.entry
    digest = hashlib.sha256("\n".join(row["context_sha256"] for row in case.ours).encode())
    assert digest.hexdigest() == entry["contexts_digest"]
    assert len(case.prepared.documents) == entry["n_docs_total"]
    requests = sum(len(prompt.pairs) or 1 for prompt in case.prepared.prompts)
    assert requests == entry["n_requests_total"]
    assert case.prepared.split == entry["eval_split"]


def test_the_first_draws_are_those_of_the_reference(case):
    shots = case.prepared.selected.spec.shots
    seeded = shots.count > 0 and shots.draw == "seeded"
    assert (case.file.draws is not None) == (seeded and "tydiqa" not in case.file.name)
    if case.file.draws is None:
        return
    draw = case.file.draws
    member_of = case.prepared.selected.task.subtask or (lambda row: "")
    first = case.prepared.documents[0].member  # every member task draws anew, from its own rows
    pool = [row for row in case.prepared.data[shots.split].rows if member_of(row) == first]
    assert len(pool) == draw["pool_rows"]
    documents = [place for place, one in enumerate(case.prepared.documents) if one.member == first]
    for document, places in zip(documents, draw["first_docs"], strict=False):
        assert case.prepared.shots[document] == [pool[place] for place in places[: draw["used"]]]


def test_every_golden_file_is_compared():
    on_disk = {
        f"{file.parent.name}/{file.stem}" for folder in FOLDERS for file in folder.glob("*/*@*.parquet")
    }
    assert on_disk == set(golden_files()) == set(ADDRESSES)


def test_rows_that_are_not_the_published_ones_are_named_in_the_notes(case):
    core = case.file.name.startswith("core")
    stands_in = (not core and "hellaswag@10" in case.file.name) or "triviaqa" in case.file.name
    assert any(note.startswith("Stand-in") for note in case.prepared.notes) == stands_in
    assert any("--allow-data-drift" in note for note in case.prepared.notes) == (case.file.data != SHARED)
