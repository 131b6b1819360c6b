"""Standard input as a file: an MP4's index may lie at its end, and every pass over a source begins at its start."""

from __future__ import annotations

import io
import select
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from vidguard.errors import LimitError

MAX_BYTES: Final = 2 << 30
"""Nobody knows beforehand how much a pipe holds, and all of it goes through the folder for temporary files."""
MAX_SECONDS: Final = 600.0
"""Neither is known whether it ever ends."""
_CHUNK_BYTES: Final = 1 << 20


@contextmanager
def spooled(stream: BinaryIO, max_bytes: int, max_seconds: float = MAX_SECONDS) -> Iterator[BinaryIO]:
    """A seekable copy of a stream, gone from the disk with the block.

    Raises LimitError as soon as the stream turns out longer than max_bytes (or MAX_BYTES, which is less than files may
    have), or hasn't ended after max_seconds. Where the system can't wait for a pipe (Windows), a silent one is waited
    for without end.
    """
    most = min(max_bytes, MAX_BYTES)
    ends = time.monotonic() + max_seconds
    with tempfile.TemporaryFile() as copy:
        while (chunk := _read(stream, ends - time.monotonic())) != b"":
            if chunk is None or time.monotonic() > ends:
                raise LimitError(
                    f"standard input hasn't ended within {max_seconds:g} s; save it to a file and pass that"
                )
            if copy.tell() + len(chunk) > most:
                raise LimitError(
                    f"standard input is longer than {most:,} bytes; save it and pass the file, or pass a shorter clip"
                )
            copy.write(chunk)
        copy.seek(0)
        yield copy


def _read(stream: BinaryIO, seconds: float) -> bytes | None:
    """The next bytes, b"" at the end; None where none come in time."""
    try:
        waiting = select.select([stream], [], [], max(seconds, 0.0))[0]
    except (OSError, ValueError, io.UnsupportedOperation):  # Windows; no real file
        waiting = [stream]
    if not waiting:
        return None
    chunk: bytes = stream.read1(_CHUNK_BYTES) if isinstance(stream, io.BufferedReader) else stream.read(_CHUNK_BYTES)
    return chunk
