"""Locks on files, for as long as a process has them open; some file systems have none."""

import errno
import fcntl
from typing import IO, Any

NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL})
"""What `flock` says on Lustre without `-o flock`, NFS without lockd, and some FUSE mounts."""


def lock(file: IO[Any], *, wait: bool) -> bool:
    """Hold the only lock on an open file until it is closed; False where the file system has no locks.

    Args:
        file: which file.
        wait: for another process to let go of it.

    Raises:
        BlockingIOError: another process has it, and it was not to be waited for.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return False
        raise
    return True
