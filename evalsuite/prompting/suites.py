"""Suites as data: a named, versioned list of task addresses, and the means over them.

A suite is a file `<recipe>/suites/<name>[.<variant>].yaml` in the folder of its recipe. Its address is
`<recipe>/<name>[:<variant>]`, or `<recipe>[:<variant>]` if it has the recipe's name: `core/suites/core.yaml`
is `core`, `core/suites/core.500.yaml` is `core:500`, `nemotron_base/suites/ultra.yaml` is
`nemotron_base/ultra`.

How to write one:

- A plain list has `members` alone. It has no value; its address selects the tasks.
- A mean is an entry of `means`: the unweighted mean of the members' headline scores, or of one `metric`.
- A mean of means: a member that names an entry of `groups` counts once, as the mean of its own members,
  which may again be groups. `of` restricts a mean to some members (a suite with groups qa and math can have
  the means all, qa and math); `without` leaves members out.
- A centred mean has `baselines`: every score s becomes (s - b) / (1 - b).

The value of a mean is a weighted sum of task scores (`Suite.means`, `Term`): run logs, comparisons and trends
compute it and its interval from the tasks' own (`evalsuite/stats/combined.py`).

Public names: `SuiteSpec`, `MeanSpec`, `Suite`, `SuiteMean`, `Term`, `read_suite`, `suite_files`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from itertools import chain

from pydantic import Field, model_validator

from evalsuite.errors import UserError
from evalsuite.files.strict import Strict, read_strict
from evalsuite.prompting.spec import Source
from evalsuite.types import sha256_of

FOLDER = "suites"


class MeanSpec(Strict):
    """A mean over a suite's members."""

    title: str = ""
    metric: str = ""
    """Metric of every member; empty for each member's headline metric."""
    of: tuple[str, ...] = ()
    """Members and groups to average, each with the same weight; empty for the suite's members."""
    without: tuple[str, ...] = ()
    """Members to leave out, wherever they are."""
    baselines: dict[str, float] = Field(default={})
    """By member, the score that becomes 0; empty for scores as they are."""


class SuiteSpec(Strict):
    """A suite as its file declares it."""

    recipe: str
    """Recipe of members that name none; the recipe whose folder has the file."""
    name: str
    """The suite's address."""
    version: int = Field(ge=1)
    """Raised for every change to the members or the means."""
    title: str
    source: Source
    members: tuple[str, ...] = Field(min_length=1)
    """Task addresses, without patterns, and names of groups."""
    groups: dict[str, tuple[str, ...]] = Field(default={})
    """Lists of members and other groups, by name."""
    means: dict[str, MeanSpec] = Field(default={})
    """The suite's values by name, the main one first; none for a plain list."""
    same_documents: tuple[tuple[str, ...], ...] = ()
    """Members that ask the same documents: their errors add up as if they were one."""

    @model_validator(mode="after")
    def _is_consistent(self) -> "SuiteSpec":
        for name in self.groups:
            self._refuse_cycle(name, (name,))
        listed = list(self.leaves(self.members))
        if twice := next((name for name in listed if listed.count(name) > 1), ""):
            raise ValueError(f"the member '{twice}' is given twice")
        known = {*listed, *self.groups}
        for label, names in self._uses():
            if unknown := next((name for name in names if name not in known), ""):
                raise ValueError(f"{label} names '{unknown}', which is no member")
        for name, mean in self.means.items():
            self._check(name, mean)
        return self

    def _uses(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        for name, mean in self.means.items():
            yield f"the mean '{name}'", (*mean.of, *mean.without, *mean.baselines)
        yield "same_documents", tuple(chain.from_iterable(self.same_documents))

    def _check(self, name: str, mean: MeanSpec) -> None:
        left = [member for member in self.leaves(mean.of or self.members) if member not in mean.without]
        if not left:
            raise ValueError(f"the mean '{name}' has no member")
        lacking = [member for member in left if member not in mean.baselines]
        if mean.baselines and lacking:
            raise ValueError(f"the mean '{name}' has no baseline for {', '.join(lacking)}")
        if any(not 0 <= value < 1 for value in mean.baselines.values()):
            raise ValueError(f"a baseline of the mean '{name}' is not in [0, 1)")

    def _refuse_cycle(self, name: str, above: tuple[str, ...]) -> None:
        for member in self.groups.get(name, ()):
            if member in above:
                raise ValueError(f"the group '{member}' contains itself")
            self._refuse_cycle(member, (*above, member))

    def leaves(self, members: tuple[str, ...]) -> Iterator[str]:
        """The task addresses among and inside `members`, in order."""
        for member in members:
            yield from self.leaves(self.groups[member]) if member in self.groups else [member]

    def shares(self, name: str) -> dict[str, float]:
        """The weight of each member in a mean; the weights of a mean add up to 1."""
        mean = self.means[name]
        return dict(self._shares(mean.of or self.members, set(mean.without), 1.0))

    def _shares(
        self, members: tuple[str, ...], without: set[str], whole: float
    ) -> Iterator[tuple[str, float]]:
        counted = [
            member for member in members if any(leaf not in without for leaf in self.leaves((member,)))
        ]
        for member in counted:
            share = whole / len(counted)
            if member in self.groups:
                yield from self._shares(self.groups[member], without, share)
            else:
                yield member, share


@dataclass(frozen=True)
class Term:
    """One task's part in a mean: `share * (score - baseline) / (1 - baseline)`."""

    task: str
    """The task's shortest address, as in a run's table."""
    address: str
    share: float
    baseline: float
    shared: str
    """The name that tasks with the same documents have in common; empty for the others."""


@dataclass(frozen=True)
class SuiteMean:
    """A mean with its terms."""

    name: str
    spec: MeanSpec
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Suite:
    """A suite whose members are known tasks."""

    spec: SuiteSpec
    tasks: Mapping[str, str]
    """Full addresses by member."""
    means: tuple[SuiteMean, ...]

    @property
    def name(self) -> str:
        """The suite's address."""
        return self.spec.name

    @property
    def sha256(self) -> str:
        """Hash of members and means: two values of a suite are comparable only if it is equal."""
        spec = self.spec.model_dump(mode="json", exclude={"title", "source"})
        return sha256_of([spec, list(self.tasks.values())])


def read_suite(name: str, recipe: str, file: Traversable, find: Callable[[str], tuple[str, str]]) -> Suite:
    """The suite of a file.

    Args:
        name: the suite's address.
        recipe: the recipe in whose folder the file is.
        file: the YAML file.
        find: returns (shortest, full) address of a member; raises UserError if it is no single task.

    Raises:
        UserError: the file is not valid, or a member is not a task.
    """
    spec = read_strict(SuiteSpec, file, {"name": name, "recipe": recipe})
    try:
        found = {member: find(member) for member in spec.leaves(spec.members)}
    except UserError as error:
        raise UserError(f"Suite '{name}': {error}") from None
    shared = {member: group[0] for group in spec.same_documents for member in group}
    means = tuple(
        SuiteMean(
            label,
            mean,
            tuple(
                Term(*found[member], share, mean.baselines.get(member, 0.0), shared.get(member, ""))
                for member, share in spec.shares(label).items()
            ),
        )
        for label, mean in spec.means.items()
    )
    return Suite(spec, {member: address for member, (_, address) in found.items()}, means)


def suite_files(recipe: str, folder: Traversable) -> dict[str, Traversable]:
    """The files of a recipe's suites, by address."""
    inside = folder / FOLDER
    if not inside.is_dir():
        return {}
    files = {}
    for file in sorted(inside.iterdir(), key=lambda entry: entry.name):
        stem, _, suffix = file.name.rpartition(".")
        if suffix == "yaml":
            name, dot, variant = stem.partition(".")
            whole = recipe if name == recipe else f"{recipe}/{name}"
            files[whole + (f":{variant}" if dot else "")] = file
    return files
