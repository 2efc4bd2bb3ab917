"""`evalsuite list`: list tasks, suites, recipes, models, cards and lm-eval's tasks."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from evalsuite.cli import options
from evalsuite.cli.say import say, say_json
from evalsuite.visible import visible


class ListKind(StrEnum):
    """The kinds of entries that `evalsuite list` knows."""

    TASKS = "tasks"
    SUITES = "suites"
    RECIPES = "recipes"
    MODELS = "models"
    CARDS = "cards"
    LM_EVAL = "lm-eval"


def listing(
    kind: Annotated[ListKind, typer.Argument(help="What to list.")],
    include: options.Include = None,
    as_json: options.AsJson = False,
) -> None:
    """List tasks, suites, recipes, model aliases, cards of published numbers, or all tasks of lm-eval."""
    listed: dict[ListKind, Callable[[Sequence[Path]], list[dict[str, Any]]]] = {
        ListKind.TASKS: _tasks,
        ListKind.SUITES: partial(_suites, in_full=as_json),
        ListKind.RECIPES: partial(_recipes, in_full=as_json),
        ListKind.MODELS: _models,
        ListKind.CARDS: _cards,
        ListKind.LM_EVAL: _lm_eval,
    }
    rows = listed[kind](include or [])
    if as_json:
        say_json(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    shown = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    for row in shown:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _tasks(include: Sequence[Path]) -> list[dict[str, Any]]:
    from evalsuite.registry.registry import Registry

    registry = Registry.load(include)
    rows = []
    for recipe, task, form in registry.forms():
        address = f"{recipe}/{task}" + (f":{form}" if form else "")
        selected = registry.select([address])[0]
        spec = selected.spec
        rows.append(
            {
                "task": selected.name,
                "recipe": recipe,
                "format": spec.format,
                "shots": spec.shots.count,
                "metrics": list(spec.metrics),
                "title": selected.task.title,
            }
        )
    return rows


def _suites(include: Sequence[Path], in_full: bool) -> list[dict[str, Any]]:
    """Suites with their means; if in full, with every member's full address, weights and baselines."""
    from evalsuite.registry.registry import Registry

    suites = Registry.load(include).suites
    rows: list[dict[str, Any]] = []
    for suite in map(suites.named, suites.names()):
        rows.append(
            {
                "suite": suite.name,
                "version": suite.spec.version,
                "tasks": list(suite.tasks.values()) if in_full else len(suite.tasks),
                "means": [mean.name for mean in suite.means],
                "title": suite.spec.title,
            }
        )
        if in_full:
            rows[-1]["means"] = {mean.name: [asdict(term) for term in mean.terms] for mean in suite.means}
            rows[-1] |= {"sha256": suite.sha256, "source": suite.spec.source.model_dump()}
    return rows


def _recipes(include: Sequence[Path], in_full: bool) -> list[dict[str, Any]]:
    """Recipes with their tasks and, if in full, every spec with its source and status."""
    from evalsuite.registry.catalog import recipe_specs, spec_row
    from evalsuite.registry.registry import Registry

    registry = Registry.load(include)
    rows: list[dict[str, Any]] = []
    for name in registry.recipe_names():
        info = registry.recipes[name].info if name in registry.recipes else None
        rows.append(
            {
                "recipe": name,
                "tasks": [task for recipe, task, form in registry.forms() if recipe == name and not form],
                "reference": info.reference if info else "",
                "title": info.title if info else "defined in a task file",
            }
        )
        if in_full:
            rows[-1]["specs"] = [spec_row(spec) for spec in recipe_specs(registry, name)]
    return rows


def _models(include: Sequence[Path]) -> list[dict[str, Any]]:
    from evalsuite.checkpoints import aliases

    return [
        {"alias": alias.name, "model": alias.hub_id, "about": alias.description}
        for alias in aliases().values()
    ]


def _cards(include: Sequence[Path]) -> list[dict[str, Any]]:
    from evalsuite.decisions.card.card import card_names, load_card

    return [
        {
            "card": card.name,
            "kind": card.kind,
            "date": card.date,
            "numbers": sum(len(cell.values) for cell in card.cells),
            "title": card.title,
            "models": list(card.models),
        }
        for card in map(load_card, card_names())
    ]


def _lm_eval(include: Sequence[Path]) -> list[dict[str, Any]]:
    """Every name of the installed lm-eval, and whether its spec is evalsuite's or lm-eval's own."""
    from evalsuite.lm_eval_bridge.index import names
    from evalsuite.registry.registry import Registry

    ours = {task for recipe, task, _ in Registry.load(include).forms() if recipe == "lm_eval"}
    return [
        {
            "task": f"lm_eval/{name}",
            "kind": entry.kind,
            "by": "evalsuite's spec" if name in ours else "lm-eval's own definition",
        }
        for name, entry in sorted(names().items())
    ]


def _cell(value: object) -> str:
    return visible(",".join(map(str, value)) if isinstance(value, list) else str(value))
