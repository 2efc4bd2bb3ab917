"""Published numbers: one YAML file per publication (`evalsuite.cards`), validated when it is read.

Public names: `Card`, `Cell`, `CellSetting`, `card_names`, `load_card`, `read_card`.

A cell declares how its number was measured, field by field. A field that the publication leaves open is
missing or has several candidates. `comparable` decides from these fields whether a run may be compared with
the number.
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
"""One value, or several candidates if the publication leaves it open; empty if it does not mention it."""

CellForm = Literal["letters", "cloze", "generate", "code", "gold"]
PublicationKind = Literal["card", "report", "blog", "secondary", "third-party"]
Evidence = Literal["seen", "stated", "inferred"]
FIELDS = ("split", "shots", "form", "metric", "aggregation")
"""Fields of a setting that must be equal in a run."""


class CellSetting(Strict):
    """How a number was measured. Compared with a run: `FIELDS`, documents, samples and temperature."""

    split: OneOf[str] = ()
    documents: int | None = Field(default=None, ge=1)
    """Number of documents that the score covers."""
    shots: OneOf[Annotated[int, Field(ge=0)]] = ()
    form: OneOf[CellForm] = ()
    """letters: lists the options, scores the letter. cloze: scores the text of each option.

    gold: scores the accepted answers. generate, code: generates text.
    """
    cot: bool | None = None
    """Whether the model reasons before the answer; for readers only, since it is part of the recipe."""
    samples: int | None = Field(default=None, ge=1)
    """Generated texts per document."""
    temperature: float | None = Field(default=None, ge=0)
    """0 is greedy."""
    metric: OneOf[str] = ()
    """Name of the metric in evalsuite: acc, acc_norm (by characters), exact_match, f1, pass@k, maj@k."""
    aggregation: Literal["micro", "macro", "full_subject_sizes"] | None = None
    """micro: mean over documents. macro: unweighted mean over member tasks.

    full_subject_sizes: mean over member tasks weighted by all their documents, although only some of them
        count
    (MATH level 5 and MATH-500 of nvidia-lm-eval).
    """


class Cell(Strict):
    """One benchmark of a publication in one setting."""

    benchmark: str
    """Name of the benchmark, as printed."""
    task: OneOf[str] = ()
    """Name of the task in evalsuite; empty if there is none."""
    label: str = ""
    """The publication's name of the metric, if it differs from evalsuite's."""
    setting: CellSetting = CellSetting()
    status: Evidence
    """How the setting is known.

    seen: from the exact recipe. stated: from the publication, whose prompt is not known. inferred: from
        sibling
    publications or from arithmetic.
    """
    inferred: tuple[str, ...] = ()
    """Inferred fields of the setting."""
    address: str = ""
    """Task address that reproduces the number."""
    reference: str = ""
    """Package or script that defines the recipe."""
    scale: float = Field(default=100, gt=0)
    """Printed value of a perfect score."""
    digits: int | None = Field(default=None, ge=0, le=6)
    """Printed decimals, if they differ from the card's."""
    note: str = ""
    values: dict[str, float] = Field(min_length=1)
    """The printed number by model."""

    @model_validator(mode="after")
    def _is_consistent(self) -> "Cell":
        unknown = [name for name in self.inferred if name not in CellSetting.model_fields]
        if unknown:
            raise ValueError(
                f"inferred has unknown fields of a setting: {', '.join(unknown)}; the fields are "
                f"{', '.join(CellSetting.model_fields)}"
            )
        beyond = [f"{model} {value}" for model, value in self.values.items() if not 0 <= value <= self.scale]
        if beyond:
            raise ValueError(f"printed numbers are outside 0 to {self.scale:g}: {', '.join(beyond)}")
        return self


class Card(Strict):
    """One publication."""

    name: str
    """File name without its suffix."""
    title: str
    kind: PublicationKind
    """secondary: numbers quoted by another publication. third-party: measured by another party."""
    date: str = Field(default="", pattern=r"^(\d{4}(-\d\d){0,2})?$")
    """Date of publication, ISO 8601; empty if unknown."""
    source: str
    """Description of the source of the numbers and settings."""
    notes: str = ""
    digits: int = Field(ge=0, le=6)
    """Number of printed decimals."""
    models: tuple[str, ...] = Field(min_length=1)
    """Models that the card has numbers of; the publication's own model comes first."""
    cells: tuple[Cell, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _lists_its_models(self) -> "Card":
        unlisted = {model for cell in self.cells for model in cell.values} - set(self.models)
        if unlisted:
            raise ValueError(
                f"models must list {', '.join(sorted(unlisted))}, since a cell has a number of it"
            )
        return self

    def of_model(self, model: str) -> list[tuple[Cell, float]]:
        """Cells that have a number of the model, each with that number."""
        return [(cell, cell.values[model]) for cell in self.cells if model in cell.values]

    def digits_of(self, cell: Cell) -> int:
        """Number of printed decimals of a cell."""
        return self.digits if cell.digits is None else cell.digits


def card_names() -> list[str]:
    """Names of the registered cards."""
    return sorted(_files())


def load_card(name: str) -> Card:
    """Load a registered card by name, or your own YAML file by path.

    Raises:
        UserError: the card does not exist (the message suggests similar names), or its file is not valid.
    """
    if name.endswith((".yaml", ".yml")):
        return read_card(Path(name))
    files = _files()
    if name not in files:
        raise UnknownName("card", name, files, "See 'evalsuite list cards'.")
    return read_card(files[name])


def read_card(file: Traversable | Path) -> Card:
    """The card in a YAML file; raises UserError that names file, line and field."""
    return read_strict(Card, file, {"name": file.name.rpartition(".")[0]})


def _files() -> dict[str, Traversable]:
    folder = resources.files("evalsuite.cards")
    return {file.name[:-5]: file for file in folder.iterdir() if file.name.endswith(".yaml")}
