"""Published numbers: one YAML file per publication (`evalsuite.cards`), validated when read.

Public names: `Card`, `Cell`, `CellSetting`, `card_names`, `load_card`, `read_card`.

A cell declares how its number was made, field by field; what the publication leaves open is left out or has
several candidates. Whether a run may be compared with it is decided from these fields (`card_check`).
"""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from evalsuite.errors import UnknownName
from evalsuite.files.strict import Strict, read_strict

_T = TypeVar("_T")


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


OneOf = Annotated[tuple[_T, ...], BeforeValidator(_as_tuple)]
"""One value, or the candidates among which the publication does not decide; empty where it says nothing."""

Form = Literal["letters", "cloze", "generate", "code", "gold"]
Kind = Literal["card", "report", "blog", "secondary", "third-party"]
Status = Literal["seen", "stated", "inferred"]
FIELDS = ("split", "shots", "form", "metric", "aggregation")
"""Fields of a setting that a run must share."""


class CellSetting(Strict):
    """How a number was made. Compared with a run: `FIELDS`, documents, samples and temperature."""

    split: OneOf[str] = ()
    documents: int | None = Field(default=None, ge=1)
    """Documents behind the number."""
    shots: OneOf[Annotated[int, Field(ge=0)]] = ()
    form: OneOf[Form] = ()
    """letters: options listed, letter scored. cloze: text of each option scored. gold: accepted answers
    scored.
    generate, code: text generated."""
    cot: bool | None = None
    """Reasoning before the answer; told to the reader, not compared: it is part of the recipe."""
    samples: int | None = Field(default=None, ge=1)
    """Generated texts for each document."""
    temperature: float | None = Field(default=None, ge=0)
    """0 is greedy."""
    metric: OneOf[str] = ()
    """Name of the metric here: acc, acc_norm (by characters), exact_match, f1, pass@k, maj@k."""
    aggregation: Literal["micro", "macro", "full_subject_sizes"] | None = None
    """Mean over documents; plain mean over member tasks; member tasks weighted by all their documents
    although only some of these count (MATH level 5 and MATH-500 of nvidia-lm-eval)."""


class Cell(Strict):
    """One benchmark of a publication, asked in one way."""

    benchmark: str
    """As printed."""
    task: OneOf[str] = ()
    """Name of the task here; empty where there is none."""
    label: str = ""
    """The publication's word for its metric, where it is another than ours."""
    setting: CellSetting = CellSetting()
    status: Status
    """seen: the exact recipe was read. stated: the publication states the setting, its prompt is not known.
    inferred: deduced from sibling publications or from arithmetic."""
    inferred: tuple[str, ...] = ()
    """Fields of the setting that were deduced."""
    address: str = ""
    """Task address that reproduces the number."""
    reference: str = ""
    """Package or script that defines the recipe."""
    scale: float = Field(default=100, gt=0)
    """What a perfect score is printed as."""
    digits: int | None = Field(default=None, ge=0, le=6)
    """Printed decimals, where they are not the card's."""
    note: str = ""
    values: dict[str, float] = Field(min_length=1)
    """The printed number by model."""

    @model_validator(mode="after")
    def _is_consistent(self) -> "Cell":
        strange = [name for name in self.inferred if name not in CellSetting.model_fields]
        if strange:
            raise ValueError(
                f"inferred names no field of a setting: {', '.join(strange)}; fields are {', '.join(CellSetting.model_fields)}"
            )
        beyond = [f"{model} {value}" for model, value in self.values.items() if not 0 <= value <= self.scale]
        if beyond:
            raise ValueError(f"printed numbers lie outside 0 to {self.scale:g}: {', '.join(beyond)}")
        return self


class Card(Strict):
    """One publication."""

    name: str
    """File name without its ending."""
    title: str
    kind: Kind
    """secondary: figures as somebody quotes them. third-party: measured by somebody else."""
    date: str = Field(default="", pattern=r"^(\d{4}(-\d\d){0,2})?$")
    """Of publication, ISO 8601; empty where not known."""
    source: str
    """Where the numbers and settings were read, in words."""
    notes: str = ""
    digits: int = Field(ge=0, le=6)
    """Decimals that it prints."""
    models: tuple[str, ...] = Field(min_length=1)
    """Models it has numbers of, its own subject first."""
    cells: tuple[Cell, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _lists_its_models(self) -> "Card":
        unlisted = {model for cell in self.cells for model in cell.values} - set(self.models)
        if unlisted:
            raise ValueError(f"models must list {', '.join(sorted(unlisted))}, of which a cell has a number")
        return self

    def of_model(self, model: str) -> list[tuple[Cell, float]]:
        """Cells that have a number of the model, with it."""
        return [(cell, cell.values[model]) for cell in self.cells if model in cell.values]

    def digits_of(self, cell: Cell) -> int:
        """Printed decimals of a cell."""
        return self.digits if cell.digits is None else cell.digits


def card_names() -> list[str]:
    """Names of the registered cards."""
    return sorted(_files())


def load_card(name: str) -> Card:
    """A registered card by name, or a YAML file of your own by path.

    Raises:
        UserError: there is no such card (the message lists near names), or its file is not valid.
    """
    if name.endswith((".yaml", ".yml")):
        return read_card(Path(name))
    files = _files()
    if name not in files:
        raise UnknownName("card", name, files, "See 'evalsuite list cards'.")
    return read_card(files[name])


def read_card(file: Traversable | Path) -> Card:
    """The card in a YAML file; raises UserError naming file, line and field."""
    return read_strict(Card, file, {"name": file.name.rpartition(".")[0]})


def _files() -> dict[str, Traversable]:
    folder = resources.files("evalsuite.cards")
    return {file.name[:-5]: file for file in folder.iterdir() if file.name.endswith(".yaml")}
