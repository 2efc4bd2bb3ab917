"""The one folder in which programs may write, empty for each of them."""

import os
import stat
from dataclasses import dataclass

from evalsuite.sandbox import namespaces

_MODE = 0o700


@dataclass(frozen=True, slots=True)
class Folder:
    """A small file system of its own (`mounted`), or a folder of a larger one."""

    path: str
    mounted: bool

    def open_to_programs(self) -> None:
        """Let programs write. Raises OSError."""
        if not self.mounted:
            os.chmod(self.path, _MODE)

    def used(self) -> bool:
        """Whether the last program has left something in it, or has closed it to others."""
        mode = stat.S_IMODE(os.stat(self.path).st_mode)
        return mode != (namespaces.FOLDER_MODE if self.mounted else _MODE) or bool(os.listdir(self.path))

    def clean(self) -> None:
        """Leave nothing in it; a mounted one is another then, which Landlock's rules do not know. Raises
        OSError."""
        if self.mounted:
            namespaces.renew_folder()
            return
        self.open_to_programs()
        empty(self.path)


def empty(path: str) -> None:
    """Remove everything in a folder, however deep and however closed. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _empty(descriptor)
    finally:
        os.close(descriptor)


def _empty(folder: int) -> None:
    """Remove everything below an open folder, and follow no link.

    Folders move up before they are emptied, so that no depth that a program builds ends the recursion.
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
