"""The elements of EBML files (Matroska, WebM; RFC 8794), read without trust in what they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vidguard.video.source import Source

SEGMENT: Final = 0x18538067
_MAX_ELEMENTS: Final = 10_000  # of one level, so that a hostile file can't keep us
_HEAD_BYTES: Final = 12  # the longest name and size


def elements(source: Source, at: int, end: int, kind: int | None = None) -> Iterator[tuple[int, int, int]]:
    """Elements between two offsets, of one kind or of all: kind, and where each one's content begins and ends."""
    for _ in range(_MAX_ELEMENTS):
        head = source.read_at(at, min(_HEAD_BYTES, end - at)) if at < end else b""
        found = _head(head)
        if found is None:
            return
        name, size, length = found
        begin = at + length
        stop = end if size is None else min(begin + size, end)
        if kind in (None, name):
            yield name, begin, stop
        at = stop


def declared_end(source: Source) -> int | None:
    """Where the segment, all of the file behind its header, is to end; None where it doesn't say, as in live WebM."""
    at = 0
    for _ in range(2):
        found = _head(source.read_at(at, _HEAD_BYTES))
        if found is None:
            return None
        name, size, length = found
        if size is None:
            return None
        at += length + size
        if name == SEGMENT:
            return at
    return None


def _head(data: bytes) -> tuple[int, int | None, int] | None:
    """An element's name, the size of its content (None: not known) and the length of both; None where they aren't."""
    name_length = 9 - data[0].bit_length() if data else 9
    if name_length > 4 or len(data) <= name_length:
        return None
    size_length = 9 - data[name_length].bit_length()
    length = name_length + size_length
    if size_length > 8 or len(data) < length:
        return None
    unknown = (1 << 7 * size_length) - 1  # all ones
    size = int.from_bytes(data[name_length:length], "big") & unknown
    return int.from_bytes(data[:name_length], "big"), None if size == unknown else size, length
