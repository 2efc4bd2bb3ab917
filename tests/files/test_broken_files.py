"""Data, cards, prompt specs and definitions that were damaged or written by hand: read, or one sentence
naming the file.

Bytes are changed, cut off or put in anywhere; or one value of a valid document is replaced by one of another
type.
"""

import csv
import gzip
import json
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from evalsuite.data.load import load_split
from evalsuite.data.readers import read_file
from evalsuite.data.refs import DatasetRef
from evalsuite.decisions.card.card import read_card
from evalsuite.errors import UserError
from evalsuite.registry.registry import Registry
from evalsuite.requests.prepare import prepare
from evalsuite.visible import visible
from tests.data.test_malformed_files import broken
from tests.data.tiny_mirror import TinyMirror
from tests.golden.golden import needs_package
from tests.runs.bench import PLUGIN, quiz_rows, sum_rows

CARD = {
    "title": "A card",
    "kind": "card",
    "source": "the card",
    "digits": 1,
    "models": ["a/b", "c"],
    "cells": [
        {
            "benchmark": "Quiz",
            "task": "quiz",
            "status": "stated",
            "setting": {"shots": [0, 5], "form": "letters", "split": "test", "temperature": 0.0},
            "inferred": ["shots"],
            "values": {"a/b": 12.3, "c": 1},
        }
    ],
}
RECIPE = {"title": "Ours", "version": 1, "score": "form", "averaged": True}
SPEC = {
    "version": 1,
    "source": {"status": "ours", "notes": "none"},
    "format": "generate",
    "question": "{{ stem }} =",
    "answer": "{{ answers[0] }}",
    "shots": {"count": 2, "split": "train", "draw": "fixed", "rows": [0, 1]},
    "bos": "tokenizer",
    "generation": {"stop": ["\n"], "max_tokens": 6, "temperature": 0.0},
    "extraction": {"patterns": [r"-?\d+"]},
    "scorer": "exact_match",
    "metrics": ["exact_match"],
}
LETTERS = {
    "version": 1,
    "source": {"status": "ours"},
    "format": "letters",
    "question": "{{ stem }}{% for c in choices %}\n{{ letters[loop.index0] }}. {{ c }}{% endfor %}\n:",
    "shots": {"count": 1, "split": "train", "draw": "seeded"},
    "scorer": "choice",
    "metrics": ["acc"],
}
DEFINITION = {
    "task": "broken_one",
    "dataset_path": "json",
    "output_type": "multiple_choice",
    "test_split": "test",
    "doc_to_text": "{{question}}",
    "doc_to_target": "answer",
    "doc_to_choice": "choices",
    "num_fewshot": 1,
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    "metadata": {"version": 1.0},
}
ROWS = quiz_rows(3)
COLUMNS = ("question", "choices", "answer")


def quick(examples: int) -> settings:
    return settings(max_examples=examples, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def damage(draw):
    """A function that changes the bytes of a file somewhere."""
    places = draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=3))
    pieces = draw(
        st.lists(
            st.sampled_from(
                [
                    b"",
                    b"\x00",
                    b"\xff",
                    b"\n",
                    b'"',
                    b"}",
                    b"[",
                    b": ",
                    b"*a",
                    b"&a ",
                    b"9" * 30,
                    b"\xed\xa0\x80",
                    b"-",
                ]
            )
            | st.binary(max_size=4),
            min_size=len(places),
            max_size=len(places),
        )
    )
    cut = draw(st.none() | st.floats(0, 1))
    removed = draw(st.integers(0, 3))

    def damaged(content: bytes) -> bytes:
        for place, piece in zip(places, pieces, strict=True):
            at = int(place * len(content))
            content = content[:at] + piece + content[at + removed :]
        return content if cut is None else content[: int(cut * len(content))]

    return damaged


@contextmanager
def read_or_named(*names: Path | str):
    """What is done is done, or refused in words that hold one of the names."""
    try:
        yield
    except UserError as error:
        said = str(error)
    else:
        return
    assert any(visible(str(name)) in said for name in names), said
    assert "Traceback" not in said


@quick(60)
@given(change=damage())
def test_a_damaged_card_is_read_or_a_sentence(tmp_path, change):
    path = tmp_path / "card.yaml"
    path.write_bytes(change(yaml.safe_dump(CARD).encode()))
    with read_or_named(path):
        read_card(path)


@quick(60)
@given(fields=broken(CARD))
def test_a_card_of_any_shape_is_read_or_a_sentence(tmp_path, fields):
    path = tmp_path / "card.yaml"
    path.write_text(yaml.safe_dump(fields), "utf-8")
    with read_or_named(path):
        card = read_card(path)
        assert [card.of_model(model) for model in card.models]


def data_files(folder: Path) -> dict[str, Path]:
    """The same rows in every kind of file."""
    folder.mkdir(exist_ok=True)
    table = pa.Table.from_pylist(ROWS)
    paths = {
        kind: folder / f"rows.{kind}" for kind in ("parquet", "arrow", "csv", "csv.gz", "jsonl", "jsonl.gz")
    }
    parquet.write_table(table, paths["parquet"])
    with pa.OSFile(str(paths["arrow"]), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with paths["csv"].open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(ROWS)
    paths["jsonl"].write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for kind in ("csv", "jsonl"):
        paths[f"{kind}.gz"].write_bytes(gzip.compress(paths[kind].read_bytes()))
    return paths


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv", "csv.gz", "jsonl", "jsonl.gz"])
@quick(40)
@given(change=damage())
def test_a_damaged_data_file_is_read_or_a_sentence(tmp_path, kind, change):
    whole = data_files(tmp_path / "whole")[kind]
    path = tmp_path / whole.name
    path.write_bytes(change(whole.read_bytes()))
    with read_or_named(path):
        rows = read_file(path, COLUMNS)
        assert all(tuple(row) == COLUMNS for row in rows)
        load_split(DatasetRef("x/y", COLUMNS, files={"test": path}), "test")


@quick(40)
@given(rows=broken(ROWS))
def test_json_lines_of_any_shape_are_read_or_a_sentence(tmp_path, rows):
    path = tmp_path / "rows.jsonl"
    lines = rows if isinstance(rows, list) else [rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in lines))
    plugin = tmp_path / "tiny_tasks.py"
    plugin.write_text(
        PLUGIN.replace(
            'DatasetRef("tiny/" + name, columns)',
            f'DatasetRef("tiny/" + name, columns, files={{"test": {str(path)!r}, "train": {str(path)!r}}})',
        ),
        "utf-8",
    )
    for address in ("quiz", "quiz:letters"):
        with read_or_named(path, "tiny/quiz"):
            assert prepare(Registry.load([plugin]).select([address])[0]).prompts


def recipe(folder: Path, info: bytes, spec: bytes, name: str = "sums") -> Path:
    """A folder with the tiny plug-in, its data and a recipe of one spec."""
    inside = folder / "mine"
    inside.mkdir(parents=True, exist_ok=True)
    (folder / "tiny_tasks.py").write_text(PLUGIN, "utf-8")
    (inside / "recipe.yaml").write_bytes(info)
    (inside / f"{name}.yaml").write_bytes(spec)
    mirror = TinyMirror(folder / "data")
    for task, rows in (("sums", sum_rows(3)), ("quiz", quiz_rows(3))):
        files = [{"split": split, "path": f"default/{split}.parquet"} for split in ("test", "train")]
        mirror.declare(f"tiny/{task}", {"config_name": "default", "data_files": files})
        for split in ("test", "train"):
            mirror.write(f"tiny/{task}", f"default/{split}.parquet", rows)
    return folder


def asked(folder: Path, name: str) -> None:
    """What `show` does with the recipe's spec."""
    path = folder / "mine"
    with read_or_named(path / "recipe.yaml", path / f"{name}.yaml", f"mine/{name}", f"tiny/{name}"):
        [selected] = Registry.load([folder]).select([f"mine/{name}"])
        assert prepare(selected, data_dir=folder / "data").prompts


@quick(25)
@given(change=damage(), which=st.booleans())
def test_a_damaged_recipe_is_read_or_a_sentence(tmp_path, change, which):
    info, spec = yaml.safe_dump(RECIPE).encode(), yaml.safe_dump(SPEC).encode()
    asked(recipe(tmp_path, info if which else change(info), change(spec) if which else spec), "sums")


@quick(40)
@given(content=st.tuples(broken(RECIPE), st.just(SPEC)) | st.tuples(st.just(RECIPE), broken(SPEC)))
def test_a_recipe_of_any_shape_is_read_or_a_sentence(tmp_path, content):
    asked(recipe(tmp_path, *(yaml.safe_dump(one).encode() for one in content)), "sums")


@quick(25)
@given(spec=broken(LETTERS))
def test_a_spec_of_choices_of_any_shape_is_read_or_a_sentence(tmp_path, spec):
    asked(recipe(tmp_path, yaml.safe_dump(RECIPE).encode(), yaml.safe_dump(spec).encode(), "quiz"), "quiz")


def definition(folder: Path, content: bytes) -> None:
    """What `show` does with a definition of lm-eval."""
    path = folder / "broken_one.yaml"
    path.write_bytes(content)
    with suppress(UserError):
        registry = Registry.load([path])
        [selected] = registry.select(["lm_eval/broken_one"])
        assert prepare(selected, data_dir=folder).prompts


@pytest.mark.slow
@needs_package("lm-eval")
@quick(30)
@given(fields=broken(DEFINITION))
def test_a_definition_of_lm_eval_of_any_shape_is_read_or_a_sentence(tmp_path, fields):
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    if isinstance(fields, dict):
        fields = {"dataset_kwargs": {"data_files": {"test": str(data)}}, **fields}
    definition(tmp_path, yaml.safe_dump(fields).encode())


@pytest.mark.slow
@needs_package("lm-eval")
@quick(30)
@given(change=damage())
def test_a_damaged_definition_of_lm_eval_is_read_or_a_sentence(tmp_path, change):
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    whole = DEFINITION | {"dataset_kwargs": {"data_files": {"test": str(data)}}}
    definition(tmp_path, change(yaml.safe_dump(whole).encode()))
