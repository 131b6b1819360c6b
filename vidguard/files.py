"""Writing files: whole or not at all, and never over anything but a file."""

from __future__ import annotations

import logging
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final

from vidguard.errors import OutputError
from vidguard.text import printable

_LOG = logging.getLogger(__name__)
MAX_NAME_BYTES: Final = 255
"""Of one name, on every file system in common use."""
_ADVICE: Final = "free some space there or give another path"
_EXCLUSIVE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file, whole or not at all; see `whole_file`."""
    with whole_file(path) as file:
        file.write(content)


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """A new binary file, also to be read, that takes path's place when the block ends well; else nothing is left of it.

    It is written under a random name beside path that nobody can have planted, reaches the disk before it is renamed,
    and keeps the permissions of the file that it replaces. Only a regular file is replaced: a link is neither followed
    nor lost. Raises OutputError, which names path, for anything else that is there and where the system refuses.
    """
    target = Path(path)
    partial = target.with_name(f".vidguard-{secrets.token_hex(8)}.partial")
    replaced = require_replaceable(target)
    try:
        with os.fdopen(os.open(partial, _EXCLUSIVE, 0o666), "w+b") as file:
            yield file
            file.flush()
            if replaced is not None:
                _keep_owner_and_mode(file.fileno(), replaced)
            os.fsync(file.fileno())
        require_replaceable(target)  # once more: what took minutes to make must not end on what came there meanwhile
        partial.replace(target)
        _LOG.debug("wrote %s", printable(str(target)))
    except OSError as error:
        if isinstance(error, OutputError) or not _is_about(error, partial):
            raise
        raise OutputError(f"{printable(str(target))} can't be written: {error.strerror or error}; {_ADVICE}") from error
    finally:
        with suppress(OSError):
            partial.unlink()


def require_replaceable(path: Path) -> os.stat_result | None:
    """What lies at path, if anything. Raises OutputError for anything but a regular file."""
    shown = printable(str(path))
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # no permission, a name too long, a zero byte in it
        raise OutputError(
            f"{shown} can't be written: {getattr(error, 'strerror', None) or error}; {_ADVICE}"
        ) from error
    if stat.S_ISREG(found.st_mode):
        return found
    if stat.S_ISLNK(found.st_mode):
        raise OutputError(f"{shown} is a symbolic link; outputs follow none: name the file it leads to, or remove it")
    what = "a folder" if stat.S_ISDIR(found.st_mode) else "a device, pipe or socket"
    raise OutputError(f"{shown} is {what}; give the name of a file")


def make_folders(root: Path, below: Path) -> None:
    """Make root and the folders of below, a path inside it. Raises OutputError where one of those is a link."""
    root.mkdir(parents=True, exist_ok=True)
    for folder in (root / part for part in reversed(below.parents) if part != Path()):
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"{printable(str(folder))} can't be made: {error.strerror}; {_ADVICE}") from error
        if folder.is_symlink():
            raise OutputError(f"{printable(str(folder))} is a symbolic link; outputs follow none: remove it")


def fitting_name(name: str, suffix: str) -> str:
    """Name + suffix; where a file system takes no name so long, the name's beginning and a digest of the whole."""
    raw, added = os.fsencode(name), os.fsencode(suffix)
    if len(raw) + len(added) <= MAX_NAME_BYTES:
        return name + suffix
    digest = f"~{sha256(raw).hexdigest()[:16]}"
    kept = raw[: MAX_NAME_BYTES - len(added) - len(digest)]
    return kept.decode("utf-8", "ignore") + digest + suffix  # a character cut in two is left out


def _is_about(error: OSError, partial: Path) -> bool:
    """Whether it was the writing that failed: a file that is read in the block has a name of its own."""
    return error.filename is None or str(error.filename) == str(partial)


def _keep_owner_and_mode(descriptor: int, replaced: os.stat_result) -> None:
    if hasattr(os, "fchown"):  # not on Windows, which has its own inheritance
        with suppress(OSError):  # root alone may give files away
            os.fchown(descriptor, replaced.st_uid, replaced.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(replaced.st_mode) & 0o777)
