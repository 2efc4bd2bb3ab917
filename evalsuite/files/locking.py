"""Locks files until the process closes them; some file systems do not support locks."""

import errno
import fcntl
from typing import IO, Any

NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL})
"""Errors of `flock` on Lustre without `-o flock`, NFS without lockd, and some FUSE mounts."""


def lock(file: IO[Any], *, wait: bool) -> bool:
    """Lock an open file until it is closed; False if the file system does not support locks.

    Args:
        file: the open file.
        wait: wait until another process releases its lock.

    Raises:
        BlockingIOError: another process holds the lock, and `wait` is False.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return False
        raise
    return True
