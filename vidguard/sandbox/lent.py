"""A source on its way into another process: by descriptor where it is a file, else read for the child on request."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from vidguard.sandbox.channel import MAX_DATA_BYTES, Message


@dataclass(frozen=True)
class LentFile:
    """A source that another process has opened, measured and hashed."""

    file: BinaryIO
    name: str
    size_bytes: int | None
    sha256: str | None
    release: Callable[[], None] = lambda: None
    """Called when it is lent no more."""


def descriptor_of(file: BinaryIO) -> int | None:
    """Open once more, read-only and with a position of its own, what a file object reads; bytes are copied.

    None for what is no plain file: a pipe, or an object that makes up its bytes, such as one that decompresses.
    """
    if type(file) is io.BytesIO:
        copy = _in_memory(file.getbuffer())
        try:
            return _opened_again(copy)
        finally:
            os.close(copy)
    plain = type(file) in (io.BufferedReader, io.BufferedRandom) and type(getattr(file, "raw", None)) is io.FileIO
    return _opened_again(file.fileno()) if plain and file.seekable() else None


def _opened_again(descriptor: int) -> int | None:
    try:
        return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)
    except OSError:  # no /proc, or a file that may not be opened again
        return None


def new_memory(name: str, size: int) -> int:
    """Make size bytes of zeroed memory that two processes can map.

    The size is final: memory that is cut kills whoever reads on.
    """
    import fcntl  # not on Windows, where there is no sandbox, but sources are opened

    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _in_memory(data: memoryview) -> int:
    descriptor = new_memory("source", len(data))
    with data, open(descriptor, "wb", closefd=False) as copy:
        copy.write(data)
    return descriptor


class RemoteFile(io.RawIOBase):
    """A file object of the parent's, read in the child through messages."""

    def __init__(self, ask: Callable[..., Message], *, size_bytes: int | None) -> None:
        """ask: sends a message and waits for the answer. size_bytes: None where the file can't seek."""
        self._ask = ask
        self._size = size_bytes
        self._position = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell whether the parent's file seeks."""
        return self._size is not None

    def tell(self) -> int:
        """Tell the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; the parent's file follows with the next read."""
        if self._size is None:
            raise io.UnsupportedOperation("this source can't seek")
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._position = base + offset
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        """Read up to size bytes, all that is left for -1; b"" at the end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(MAX_DATA_BYTES), b""))
        where = None if self._size is None else self._position
        data = self._ask("read", size=min(size, MAX_DATA_BYTES), at=where).data
        self._position += len(data)
        return data


def serve(file: BinaryIO, request: Message) -> bytes:
    """Answer a RemoteFile's request; size and place come from the child, so both are checked."""
    size, at = request.fields.get("size"), request.fields.get("at")
    if type(size) is not int or not 0 <= size <= MAX_DATA_BYTES:
        raise ValueError("a request to read more than is sent at once")
    if at is not None and (type(at) is not int or not 0 <= at < 1 << 62):
        raise ValueError("a request to read from nowhere")
    if at is not None:
        file.seek(at)
    return file.read(size) or b""
