"""Standard input as a file: an MP4's index may lie at its end, and every pass over a source begins at its start."""

from __future__ import annotations

import io
import math
import select
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

from vidguard.errors import InputError, LimitError

_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Spool:
    """How much of standard input is copied, and for how long."""

    max_bytes: int = 2 << 30
    """Nobody knows beforehand how much a pipe holds, and all of it goes through the folder for temporary files."""
    max_seconds: float = 600.0
    """Neither is known whether it ever ends."""

    def __post_init__(self) -> None:
        """Refuse bounds that allow nothing, and infinite ones. Raises InputError."""
        if not (self.max_bytes > 0 and 0 < self.max_seconds < math.inf):
            raise InputError("what bounds standard input must be positive and finite")


@contextmanager
def spooled(stream: BinaryIO, bounds: Spool) -> Iterator[BinaryIO]:
    """A seekable copy of a stream, gone from the disk with the block.

    Raises LimitError as soon as the stream turns out longer than the bounds allow, or hasn't ended in time. Where the
    system can't wait for a pipe (Windows), a silent one is waited for without end.
    """
    ends = time.monotonic() + bounds.max_seconds
    with tempfile.TemporaryFile() as copy:
        while (chunk := _read(stream, ends - time.monotonic())) != b"":
            if chunk is None or time.monotonic() > ends:
                raise LimitError(
                    f"standard input hasn't ended within {bounds.max_seconds:g} s; raise --max-stdin-seconds, or save "
                    "it to a file and pass that"
                )
            if copy.tell() + len(chunk) > bounds.max_bytes:
                raise LimitError(
                    f"standard input is longer than {bounds.max_bytes:,} bytes; raise --max-stdin-bytes and, for more "
                    "than files may have, --max-bytes, or save it and pass the file"
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
