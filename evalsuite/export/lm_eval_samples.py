"""lm-eval's `samples_<task>_<time>.jsonl`: a line per document with its requests, answers and verdict.

A sample's `doc` has evalsuite's key of the row instead of the row, and a generating request has no settings:
a run keeps neither.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any


def sample_files(rows: Iterable[Mapping[str, Any]], leaf: Callable[[str], str], stamp: str) -> dict[str, str]:
    """The lines of each leaf task, by file name.

    Args:
        rows: the task's samples.
        leaf: lm-eval's name of a member task, or of the task itself for an empty name.
        stamp: the time in the files' names.
    """
    lines: dict[str, list[str]] = {}
    for row in rows:
        if row["status"] == "scored":
            own = lines.setdefault(leaf(row["subtask"]), [])
            own += [json.dumps(line, ensure_ascii=False) for line in _lines(row)]
    return {
        f"samples_{name}_{stamp}.jsonl": "".join(f"{line}\n" for line in own) for name, own in lines.items()
    }


def _lines(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One line per filter, as lm-eval writes them."""
    by_filter: dict[str, dict[str, float]] = {}
    for entry in row["metrics"]:
        name, _, filter_name = entry["metric"].partition(",")
        by_filter.setdefault(filter_name or "none", {})[name] = entry["value"]
    document = {"evalsuite_key": row["key"], "subtask": row["subtask"]}
    requests = list(_requests(row))
    common = {
        "doc_id": row["subtask_doc"],
        "doc": document,
        "target": row["gold"],
        "arguments": {
            f"gen_args_{place}": {f"arg_{index}": one for index, one in enumerate(arguments)}
            for place, (arguments, _, _) in enumerate(requests)
        },
        "resps": [answers for _, answers, _ in requests],
        "filtered_resps": [filtered for _, _, filtered in requests],
        "doc_hash": _hash(json.dumps(document, indent=2, ensure_ascii=False)),
        "prompt_hash": _hash(row["contexts"][0]),
        "target_hash": _hash(str(row["gold"])),
    }
    for filter_name, values in by_filter.items():
        yield common | {"filter": filter_name, "metrics": list(values)} | values


def _requests(row: Mapping[str, Any]) -> Iterator[tuple[tuple[Any, ...], list[Any], Any]]:
    """Arguments, answers and filtered answer of each request."""
    contexts = row["contexts"]
    if row["texts"]:
        extracted = [text for text in row["extracted"] if text is not None]
        yield (contexts[0], {}), list(row["texts"]), extracted or row["texts"][:1]
        return
    # Scores of the choices without their context follow those of the requests; they are left out.
    answers = zip(row["continuations"], row["log_likelihoods"], row["is_greedy"], strict=False)
    for place, (text, value, greedy) in enumerate(answers):
        answer = [str(value), str(greedy)]
        yield (contexts[min(place, len(contexts) - 1)], text), [answer], answer


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()
