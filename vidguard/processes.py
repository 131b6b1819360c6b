"""Processes and their machine: a folder has one owner at a time, and workers end with the process they work for."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import IO, Final

from vidguard.errors import InputError

LOCK_FILE: Final = ".vidguard.lock"
_PR_SET_PDEATHSIG: Final = 1  # of Linux's sys/prctl.h


@contextlib.contextmanager
def sole_owner(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made where it is missing, so that no other process works in it.

    The system lets go of it however the process ends; the lock file stays. Raises InputError, with the process that
    holds the folder, where there is one. On file systems without locks nothing is held.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("a+") as file:
        if not _lock(file):
            file.seek(0)
            holder = file.read(100).strip()
            named = f"process {holder}" if holder.isdigit() else "another process"
            raise InputError(f"{folder} is in use by {named}; wait until it ends, or give another folder")
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def describe_machine() -> str:
    """What figures of time belong to: system, processor and number of cores."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def end_with_parent() -> None:
    """Have this process, a worker made by multiprocessing, killed when the process that made it ends in any way."""
    parent = parent_process()
    if parent is None:
        return
    if sys.platform == "linux" and os.getppid() == parent.pid:  # not so where a fork server made this process
        # By the kernel, at once: a thread can't act while a decoder keeps the interpreter.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent.pid:  # it ended before
            os._exit(1)
    else:
        watch_parent()


def watch_parent() -> None:
    """`end_with_parent` for every system, by a thread that waits for a pipe which the parent's end closes."""
    parent = parent_process()
    if parent is None:
        return

    def wait() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True, name="vidguard-parent").start()


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[str]) -> bool:
        file.seek(0x7FFFFFFF)  # a byte far behind, so that others can read who holds it
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(file: IO[str]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            return True
        return True
