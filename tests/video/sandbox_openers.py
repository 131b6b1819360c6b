"""Readers that misbehave where a decoder would: opened in the sandbox's child, none of them does any harm outside it.

Torch is imported on use, so that a server that needs none of it (`nothing`) starts at once.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import socket
import subprocess
import time

from vidguard.config import Limits
from vidguard.sandbox import LentFile
from vidguard.types import FrameBatch, SourceInfo


class Reader:
    """Gives grey frames of 16x16, and does what it is told when it has given some of them."""

    backend = "stand-in"
    troubles = ()
    end_seconds = None

    def __init__(self, notes, deed, after, num_frames):
        self.info = SourceInfo(kind="video", name="a lie", sha256="0" * 64, size_bytes=1)
        self.notes = tuple(notes)
        self.num_frames_decoded = 0
        self._deed, self._after, self._num_frames = deed, after, num_frames

    def batches(self, *, batch_size=8, frames_per_second=None):
        import torch

        for index in range(self._num_frames):
            if index == self._after:
                self._deed()
            self.num_frames_decoded += 1
            yield FrameBatch(torch.full((1, 3, 16, 16), index, dtype=torch.uint8), (float(index),))


def nothing() -> None:
    """Prepare a server for readers that give no frame."""


def tries(lent: LentFile, *, limits: Limits) -> Reader:
    """What each attempt to reach out came to, as notes."""
    global _source_descriptor
    _source_descriptor = lent.file.fileno()
    return Reader([f"{name}: {_outcome(deed)}" for name, deed in ATTEMPTS.items()], None, None, 1)


def does(lent: LentFile, *, limits: Limits, deed: str, after: int = 2) -> Reader:
    """Does one of DEEDS after some frames; -1: at once."""
    if after < 0:
        DEEDS[deed]()
    return Reader([], DEEDS[deed], after, 5)


def speaks(lent: LentFile, *, limits: Limits, shape: list[int], times: list[float]) -> Reader:
    """Gives one batch of any shape and times, without the checks of a FrameBatch."""

    import torch

    class Batch:
        frames = torch.zeros(shape, dtype=torch.uint8)
        pts_seconds = times

    reader = Reader([], None, None, 0)
    reader.batches = lambda **settings: iter([Batch()])
    return reader


def _outcome(deed):
    try:
        return f"done ({deed()})"
    except OSError as error:
        return error.strerror
    except ValueError as error:  # as the resource module puts "Operation not permitted"
        return str(error)


def _write_source():
    return os.write(_source_descriptor, b"x")


def _connect():
    with socket.socket() as end:
        end.settimeout(1)
        end.connect(("127.0.0.1", PORT))


def _executable_memory():
    return mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)


def _raise_limit():
    import resource

    return resource.setrlimit(resource.RLIMIT_CORE, (1, 1))


def _libc(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _allocate():
    bytearray(1 << 30)


def _spin():
    while True:
        pass


PORT = 9
_source_descriptor = -1
ATTEMPTS = {
    "write to the source": _write_source,
    "write a new file": lambda: os.open("/tmp/vidguard-sandbox-test", os.O_WRONLY | os.O_CREAT),
    "read a file": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "list a folder": lambda: os.open("/", os.O_RDONLY | os.O_DIRECTORY),
    "make a pipe": lambda: os.mkfifo("/tmp/vidguard-sandbox-pipe"),
    "connect": _connect,
    "listen": lambda: socket.create_server(("127.0.0.1", 0)),
    "unix socket": lambda: socket.socket(socket.AF_UNIX),
    "run a program": lambda: os.execv("/bin/true", ["true"]),
    "start a process": lambda: subprocess.run(["/bin/true"]),
    "fork": lambda: os.fork(),
    "signal the parent": lambda: os.kill(os.getppid(), 0),
    "new memory file": lambda: os.memfd_create("more"),
    "memory that is code": _executable_memory,
    "raise a limit": _raise_limit,
    "trace": lambda: _libc("ptrace", 0, 0, 0, 0),
    "name spaces": lambda: _libc("unshare", 0x40000000),
}
DEEDS = {
    "die by SIGKILL": lambda: _die(signal.SIGKILL),
    "die by SIGSEGV": lambda: _die(signal.SIGSEGV),
    "exit": lambda: os._exit(7),
    "allocate": _allocate,
    "spin": _spin,
    "sleep": lambda: time.sleep(3600),
    "raise": lambda: int("no number"),
}


def _die(number):
    signal.raise_signal(number)
