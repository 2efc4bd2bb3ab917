"""Reads lm-eval's result files: `results_<time>.json`, and `samples_<task>_<time>.jsonl` if they exist."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.errors import StorageError
from evalsuite.files.foreign_json import read_json

_NEEDED = ("results", "configs", "n-shot", "config")
_OF_A_SAMPLE = ("doc_id", "doc", "target", "arguments", "resps")
"""Required keys of a sample; lm-eval 0.4.6 and later also write the filter and its metrics."""


@dataclass(frozen=True)
class TheirSample:
    """A document that lm-eval logged, with the lines of all its filters."""

    doc_id: int
    doc: Any
    target: str
    arguments: tuple[tuple[Any, ...], ...]
    resps: tuple[list[Any], ...]
    """Answers by request; numbers and booleans are text."""
    filtered: tuple[Any, ...]
    """Results of the first filter, by request."""
    values: Mapping[tuple[str, str], Any]
    """Values by (metric, filter)."""


@dataclass(frozen=True)
class ResultsFile:
    """The results of an lm-eval evaluation."""

    path: Path
    content: Mapping[str, Any]

    @property
    def version(self) -> str:
        """Version of lm-eval."""
        return str(self.content.get("lm_eval_version") or "of unknown version")

    @property
    def settings(self) -> Mapping[str, Any]:
        """Model and execution settings."""
        config: Mapping[str, Any] = self.content["config"]
        return config

    @property
    def model_arguments(self) -> dict[str, str]:
        """`--model_args` by name."""
        arguments = self.settings.get("model_args") or {}
        if isinstance(arguments, Mapping):
            return {str(name): str(value) for name, value in arguments.items()}
        pairs = (part.partition("=") for part in str(arguments).split(",") if "=" in part)
        return {name.strip(): value.strip() for name, _, value in pairs}

    @property
    def groups(self) -> dict[str, list[str]]:
        """Tasks of each group with a score, at any depth."""
        scored = self.content.get("groups") or {}
        return {name: [one for one in self._below(name) if one in self.content["configs"]] for name in scored}

    def outermost(self, groups: Collection[str]) -> list[str]:
        """Those of the groups that are in no other of them."""
        inner = {below for name in groups for below in self._below(name)}
        return [name for name in groups if name not in inner]

    def _below(self, name: str, above: tuple[str, ...] = ()) -> dict[str, None]:
        """Everything in a group, once."""
        if name in above:
            raise StorageError(
                f"{self.path} has a group '{name}' that contains itself, which lm-eval never writes."
            )
        found: dict[str, None] = {}
        for child in (self.content.get("group_subtasks") or {}).get(name) or ():
            found |= {child: None} | self._below(child, (*above, name))
        return found

    def documents(self, task: str) -> int | None:
        """Number of evaluated documents, if the file states it."""
        counts = (self.content.get("n-samples") or {}).get(task) or {}
        return counts.get("effective")

    def is_whole(self, task: str) -> bool:
        """Whether all documents of the split were evaluated."""
        counts = (self.content.get("n-samples") or {}).get(task) or {}
        return counts.get("effective") is not None and counts.get("effective") == counts.get("original")

    def _measured(self, task: str) -> dict[str, list[str]]:
        """Metrics of a task's scores, by filter."""
        found: dict[str, list[str]] = {}
        for key in self.content["results"].get(task) or {}:
            metric, _, filter_name = str(key).partition(",")
            if filter_name and not metric.endswith("_stderr"):
                found.setdefault(filter_name, []).append(metric)
        return found

    def samples(self, task: str) -> list[TheirSample] | None:
        """Documents in order; None if none were logged.

        Raises:
            StorageError: the file is damaged or truncated.
        """
        stamp = self.path.stem.rpartition("_")[2]
        path = self.path.with_name(f"samples_{task}_{stamp}.jsonl")
        if not path.is_file():
            return None
        by_document: dict[int, list[Mapping[str, Any]]] = {}
        with path.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                fields = _with_filter(path, _sample_fields(path, number, line), self._measured(task))
                by_document.setdefault(int(fields["doc_id"]), []).append(fields)
        expected = self.documents(task)
        if expected is not None and len(by_document) != expected:
            raise StorageError(
                f"{path} has {len(by_document)} documents, but the results file {expected}: it is truncated "
                "or belongs to another evaluation; copy it again."
            )
        return [_sample(by_document[doc_id]) for doc_id in sorted(by_document)]


def read_results(path: Path) -> ResultsFile:
    """The results file, or the one in a folder.

    Raises:
        StorageError: there is no results file, there are several, or it is not lm-eval's.
    """
    file = _only_results_file(path) if path.is_dir() else path
    try:
        content = read_json(file.read_bytes())
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise StorageError(
            f"{file} is not JSON ({error}); it is truncated, or not a results file of lm-eval."
        ) from error
    missing = [
        key for key in _NEEDED if not (isinstance(content, dict) and isinstance(content.get(key), dict))
    ]
    if missing:
        raise StorageError(
            f"{file} is not a results file of lm-eval 0.4.9 or later: it has no '{missing[0]}'."
        )
    if not content["configs"]:
        raise StorageError(f"{file} has no tasks.")
    return ResultsFile(file, content)


def _only_results_file(folder: Path) -> Path:
    found = sorted(folder.rglob("results_*.json"))
    if not found:
        raise StorageError(f"{folder} has no results_*.json, which lm-eval writes with --output_path.")
    if len(found) > 1:
        shown = ", ".join(str(path.relative_to(folder)) for path in found[:4])
        raise StorageError(f"{folder} has {len(found)} results of lm-eval ({shown}); choose one of them.")
    return found[0]


def _sample_fields(path: Path, number: int, line: str) -> Mapping[str, Any]:
    try:
        fields = read_json(line)
    except (ValueError, RecursionError) as error:
        raise StorageError(
            f"{path}, line {number}, is not JSON: the file is truncated or damaged."
        ) from error
    missing = [key for key in _OF_A_SAMPLE if not isinstance(fields, dict) or key not in fields]
    if missing:
        raise StorageError(f"{path}, line {number}, is not a sample of lm-eval: it has no '{missing[0]}'.")
    sample: Mapping[str, Any] = fields
    return sample


def _with_filter(
    path: Path, fields: Mapping[str, Any], measured: Mapping[str, list[str]]
) -> Mapping[str, Any]:
    """The sample with filter and metrics; lm-eval before 0.4.6 omits them, so only one filter may exist."""
    if "filter" in fields and "metrics" in fields:
        return fields
    if len(measured) != 1:
        raise StorageError(
            f"{path} does not state which of the filters {', '.join(measured) or '(none)'} its samples used; "
            "samples of lm-eval 0.4.6 and later do."
        )
    [(name, metrics)] = measured.items()
    return {**fields, "filter": name, "metrics": [metric for metric in metrics if metric in fields]}


def _sample(lines: list[Mapping[str, Any]]) -> TheirSample:
    first = lines[0]
    arguments = first["arguments"]
    requests = [arguments[f"gen_args_{place}"] for place in range(len(arguments))]
    return TheirSample(
        doc_id=int(first["doc_id"]),
        doc=first["doc"],
        target=str(first["target"]),
        arguments=tuple(tuple(one[f"arg_{place}"] for place in range(len(one))) for one in requests),
        resps=tuple(first["resps"]),
        filtered=tuple(first.get("filtered_resps") or ()),
        values={(metric, one["filter"]): one.get(metric) for one in lines for metric in one["metrics"]},
    )
