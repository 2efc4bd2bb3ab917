"""Describes all recipes and their specs for `list recipes --json` and docs/recipes.md.

python -m evalsuite.registry.catalog docs/recipes.md     # `make docs`; a test checks that it is current
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evalsuite.prompting.shots import Shots
from evalsuite.prompting.spec import PromptSpec
from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import Selected

STATUSES = {
    "seen": "from the exact recipe of the published number",
    "inferred": "deduced from other sources; notes name the unknown settings, variants cover alternatives",
    "stock": "a reference harness's own definition",
    "ours": "evalsuite's own",
}


_BY_LIKELIHOOD = {
    "cloze": "log-likelihood of each text",
    "letters": "log-likelihood of each letter",
    "gold": "log-likelihood of the accepted answers",
    "text": "log-likelihood of the whole text",
}


def recipe_specs(registry: Registry, recipe: str) -> list[Selected]:
    """All specs of a recipe, with each task's main form first."""
    forms = [(task, form) for name, task, form in registry.forms() if name == recipe]
    return [registry.select([f"{recipe}/{task}" + (f":{form}" if form else "")])[0] for task, form in forms]


def spec_row(selected: Selected) -> dict[str, Any]:
    """The fields of a spec that describe a score."""
    spec = selected.spec
    return {
        "task": selected.name,
        "address": selected.address,
        "version": spec.version,
        "sha256": spec.sha256,
        "format": spec.format,
        "shots": spec.shots.count,
        "shots_from": shots_in_words(spec.shots),
        "split": spec.split or selected.task.split,
        "metrics": list(spec.metrics),
        "aggregates": list(spec.aggregates),
        **spec.source.model_dump(),
    }


def shots_in_words(shots: Shots) -> str:
    """The source of the shots and how they are drawn."""
    if not shots.count:
        return ""
    if shots.exemplars:
        return f"exemplars of {shots.exemplars.package}"
    if shots.draw == "seeded":
        return f"{shots.split}, drawn for each document with seed {shots.seed}"
    return f"{shots.split}, the first rows" if shots.draw == "first" else f"{shots.split}, fixed rows"


def document(registry: Registry) -> str:
    """The text of docs/recipes.md."""
    return "\n".join(_lines(registry)) + "\n"


def _lines(registry: Registry) -> Iterator[str]:
    yield "# Recipes"
    yield ""
    yield "`make docs` writes this page from the prompt specs; a test fails if it is stale. Every spec is a"
    yield "file `prompts/<recipe>/<task>[.<form>].yaml`; `evalsuite show RECIPE/TASK` prints its prompt."
    yield ""
    yield from (f"- **{status}**: {meaning}." for status, meaning in STATUSES.items())
    for recipe in registry.recipe_names():
        info = registry.recipes[recipe].info
        yield f"\n## {recipe}\n\n{info.title[0].upper()}{info.title[1:]}."
        if info.publication:
            yield f"Publication: {info.publication}."
        yield f"Reference: {info.reference}.\n"
        yield "| address | shots | scoring | metrics | status |"
        yield "| --- | --- | --- | --- | --- |"
        specs = recipe_specs(registry, recipe)
        yield from map(_table_row, specs)
        yield from _suites(registry, recipe)
        yield from _notes(specs)


def _suites(registry: Registry, recipe: str) -> Iterator[str]:
    names = registry.recipes[recipe].suites if recipe in registry.recipes else {}
    if names:
        yield ""
    for name in names:
        suite = registry.suites.named(name)
        means = f"; means {', '.join(mean.name for mean in suite.means)}" if suite.means else ""
        yield f"- [Suite](suites.md) `{name}`: {suite.spec.title} ({len(suite.tasks)} tasks{means})."


def _table_row(selected: Selected) -> str:
    spec = selected.spec
    shots = f"{spec.shots.count}: {shots_in_words(spec.shots)}" if spec.shots.count else "0"
    metrics = ", ".join([*spec.metrics, *spec.aggregates])
    address = selected.address.rpartition("@")[0]
    return f"| `{address}` | {shots} | {_scoring(spec)} | {metrics} | {spec.source.status} |"


def _scoring(spec: PromptSpec) -> str:
    if spec.generation is None:
        return _BY_LIKELIHOOD[spec.format]
    drawn = f", {spec.generation.samples} samples" if spec.generation.samples > 1 else ""
    heat = f", temperature {spec.generation.temperature:g}" if spec.generation.temperature else ""
    return f"up to {spec.generation.max_tokens} tokens{drawn}{heat}, {spec.scorer}"


def _notes(specs: list[Selected]) -> Iterator[str]:
    with_notes = [
        selected for selected in specs if selected.spec.source.reference or selected.spec.source.notes
    ]
    if with_notes:
        yield ""
    for selected in with_notes:
        source = selected.spec.source
        parts = [source.publication, source.reference, " ".join(source.notes.split()), source.caveat]
        yield (
            f"- `{selected.address.rpartition('@')[0]}`: "
            + ". ".join(text.rstrip(".") for text in parts if text)
            + "."
        )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(Registry.load()), "utf-8")
