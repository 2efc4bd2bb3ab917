"""The only folder that programs may write to; it is empty for each of them."""

import os
import stat
from dataclasses import dataclass

from evalsuite.sandbox import namespaces

_MODE = 0o700


@dataclass(frozen=True, slots=True)
class Folder:
    """A small separate file system (`mounted`), or a folder in a larger one."""

    path: str
    mounted: bool

    def open_to_programs(self) -> None:
        """Allow programs to write; raises OSError."""
        if not self.mounted:
            os.chmod(self.path, _MODE)

    def used(self) -> bool:
        """Whether the last program left files in the folder or changed its mode."""
        mode = stat.S_IMODE(os.stat(self.path).st_mode)
        return mode != (namespaces.FOLDER_MODE if self.mounted else _MODE) or bool(os.listdir(self.path))

    def clean(self) -> None:
        """Empty the folder; a mounted one is replaced and needs new Landlock rules. Raises OSError."""
        if self.mounted:
            namespaces.renew_folder()
            return
        self.open_to_programs()
        empty(self.path)


def empty(path: str) -> None:
    """Remove everything in a folder, at any depth and with any mode; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _empty(descriptor)
    finally:
        os.close(descriptor)


def _empty(folder: int) -> None:
    """Remove everything below an open folder, without following links.

    Nested folders are moved up before they are emptied, so that deep nesting cannot exceed a recursion limit.
    """
    number = 0
    while entries := list(os.scandir(folder)):
        for entry in entries:
            if not stat.S_ISDIR(entry.stat(follow_symlinks=False).st_mode):
                os.unlink(entry.name, dir_fd=folder)
                continue
            os.chmod(entry.name, _MODE, dir_fd=folder)
            inner = os.open(entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            try:
                for child in list(os.scandir(inner)):
                    number += 1
                    if child.is_dir(follow_symlinks=False):
                        os.chmod(child.name, _MODE, dir_fd=inner)  # Or it cannot get another parent.
                    os.rename(child.name, f".{number}", src_dir_fd=inner, dst_dir_fd=folder)
            finally:
                os.close(inner)
            os.rmdir(entry.name, dir_fd=folder)
