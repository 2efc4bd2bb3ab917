"""Describes a definition of lm-eval as a prompt spec, with a hash of everything that can change a score."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from evalsuite.errors import UserError
from evalsuite.lm_eval_bridge.definition import GroupRule
from evalsuite.lm_eval_bridge.index import harness_version
from evalsuite.prompting.shots import Shots
from evalsuite.prompting.spec import Format, GenerationSpec, PromptSpec, Source
from evalsuite.types import canonical_json, sha256_of

RECIPE = "lm_eval"
BY_ITS_OWN = "run by lm-eval's own definition"
FORMAT_BY_OUTPUT: dict[str, Format] = {
    "multiple_choice": "cloze",
    "loglikelihood": "gold",
    "loglikelihood_rolling": "gold",
    "generate_until": "generate",
}
_NOT_THE_PROTOCOL = ("metadata", "num_fewshot", "task", "task_alias", "tag", "dataset_kwargs")
"""Keys of a configuration that do not change a score, or that a result records elsewhere."""
_IGNORED_ARGUMENTS = ("until", "do_sample", "max_gen_toks", "temperature", "top_p")
_NEUTRAL = {"num_beams": 1, "repetition_penalty": 1.0, "num_return_sequences": 1, "use_cache": True}
_OF_SAMPLING = ("top_k", "min_p", "typical_p", "seed")


def metric_name(metric: str, filter_name: str) -> str:
    """`acc`, or `exact_match,strict-match` for a named filter."""
    return metric if filter_name == "none" else f"{metric},{filter_name}"


def task_spec(name: str, config: Mapping[str, Any], shots: int, version: str | None = None) -> PromptSpec:
    """The spec of one task.

    Args:
        name: name of the task.
        config: the configuration as lm-eval writes it to results.
        shots: number of shots.
        version: version of lm-eval, if it differs from the installed one.

    Raises:
        UserError: evalsuite's engine does not support the task.
    """
    return _spec(name, [config], shots, _metrics(config), "micro", digest(config), version)


def group_spec(
    name: str,
    members: Mapping[str, Mapping[str, Any]],
    shots: int,
    rule: GroupRule,
    version: str | None = None,
) -> PromptSpec:
    """The spec of a group with its own score; `members` are the configurations by task name."""
    known = list(dict.fromkeys(metric for config in members.values() for metric in _metrics(config)))
    aggregated = [
        name
        for metric, filters, _ in rule.metrics
        for name in known
        if name.partition(",")[0] == metric
        and (filters is None or (name.partition(",")[2] or "none") in filters)
    ]
    weighted = rule.metrics[0][2]
    definition = sha256_of([{member: digest(config) for member, config in members.items()}, rule.metrics])
    return _spec(
        name,
        list(members.values()),
        shots,
        aggregated or known,
        "micro" if weighted else "macro",
        definition,
        version,
    )


def _spec(
    name: str,
    configs: Sequence[Mapping[str, Any]],
    shots: int,
    metrics: Sequence[str],
    aggregation: str,
    definition: str,
    version: str | None,
) -> PromptSpec:
    config = configs[0]
    output = str(config.get("output_type", "generate_until"))
    for key in ("doc_to_image", "doc_to_audio"):
        if any(one.get(key) for one in configs):
            raise UserError(f"{RECIPE}/{name} uses images or audio; evalsuite evaluates text models only.")
    split = config.get("fewshot_split") or config.get("training_split") or config.get("validation_split")
    return PromptSpec.model_validate(
        {
            "recipe": RECIPE,
            "task": name,
            "version": _whole_version(config),
            "source": Source(
                reference=f"lm-eval {version or harness_version()}, {name}", status="stock", notes=BY_ITS_OWN
            ),
            "format": FORMAT_BY_OUTPUT[output],
            "definition": definition,
            "question": "",
            "answer": "",
            "shots": Shots(count=shots, split=str(split or "samples") if shots else None),
            "bos": "tokenizer",
            "generation": _generation(name, config) if output == "generate_until" else None,
            "scorer": "lm_eval",
            "metrics": tuple(metrics),
            "aggregation": aggregation,
        }
    )


def digest(config: Mapping[str, Any]) -> str:
    """SHA-256 of a definition, which is equal for an installed definition and for one in a results file."""
    from lm_eval.utils import handle_non_serializable

    kept = {key: value for key, value in config.items() if key not in _NOT_THE_PROTOCOL and value is not None}
    metadata = config.get("metadata")
    kept["version"] = metadata.get("version") if isinstance(metadata, Mapping) else None
    plain = json.loads(json.dumps(kept, default=handle_non_serializable))
    return sha256_of(re.sub(r" at 0x[0-9a-f]+", "", canonical_json(plain)))


def _metrics(config: Mapping[str, Any]) -> list[str]:
    """Names of the scores in the configuration; `process_results` may give others."""
    from lm_eval.api import metrics  # noqa: F401 - fills the registry that is read next
    from lm_eval.api.registry import DEFAULT_METRIC_REGISTRY

    listed = config.get("metric_list")
    names = (
        [_function_name(one["metric"]) for one in listed]
        if listed
        else DEFAULT_METRIC_REGISTRY[config.get("output_type", "generate_until")]
    )
    filters = [one["name"] for one in config.get("filter_list") or [{"name": "none"}]]
    return [metric_name(metric, one) for one in filters for metric in names]


def _function_name(metric: Any) -> str:
    """Name of a metric; for a function, also as source text in a results file, the function's name."""
    if callable(metric):
        return str(metric.__name__)
    found = re.search(r"def (\w+)\(", str(metric))
    return found[1] if found else str(metric)


def _generation(name: str, config: Mapping[str, Any]) -> GenerationSpec:
    settings = generation_settings(config.get("generation_kwargs") or {}, f"{RECIPE}/{name}")
    samples = int(config.get("repeats") or 1)
    return settings.model_copy(update={"samples": samples if settings.temperature > 0 else 1})


def generation_settings(
    arguments: Mapping[str, Any], who: str, default_max_tokens: int = 256
) -> GenerationSpec:
    """The generation spec of lm-eval's `generation_kwargs` (0.4.13, `normalize_gen_kwargs`).

    Raises:
        UserError: an argument would change the text, but evalsuite's engine does not support it.
    """
    from lm_eval.models.utils import normalize_gen_kwargs

    plain: dict[str, Any] = dict(normalize_gen_kwargs(dict(arguments), default_max_tokens))
    sampled = bool(plain.get("do_sample")) and float(plain.get("temperature", 0.0)) > 0
    for key, value in plain.items():
        moot = key in _IGNORED_ARGUMENTS or value is None or (not sampled and key in _OF_SAMPLING)
        if not moot and _NEUTRAL.get(key) != value:
            raise UserError(
                f"{who} generates with {key}={value!r}, which evalsuite's engine does not support."
            )
    return GenerationSpec(
        backend="lm_eval_hf",
        stop=tuple(dict.fromkeys(text for text in plain["until"] if text)),
        max_tokens=plain["max_gen_toks"],
        temperature=float(plain["temperature"]) if sampled else 0.0,
        top_p=float(plain.get("top_p") or 1.0) if sampled else 1.0,
    )


def _whole_version(config: Mapping[str, Any]) -> int:
    metadata = config.get("metadata")
    stated = metadata.get("version") if isinstance(metadata, Mapping) else None
    try:
        return max(1, int(float(stated)))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 1
