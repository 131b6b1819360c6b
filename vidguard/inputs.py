"""Reading files of others that are to be small: lists, manifests, weights."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from vidguard.errors import InputError


def read_regular(path: Path, *, max_bytes: int) -> bytes:
    """A regular file's content. A pipe would be waited for, a device read, without end.

    Raises InputError where it is another kind of file, has more than max_bytes, or can't be read.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise InputError(f"{path} is not a regular file; pass one")
            content = file.read(max_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > max_bytes:
        raise InputError(f"{path} has more than {max_bytes:,} bytes; that is no such file")
    return content


def _without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
