"""The boxes of ISO files (MP4, MOV, HEIF, AVIF; ISO 14496-12), read without trust in what they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vidguard.video.source import Source

_MAX_BOXES: Final = 10_000  # of one level, so that a hostile file can't keep us


def boxes(source: Source, at: int, end: int, kind: str | None = None) -> Iterator[tuple[str, int, int]]:
    """The boxes between two offsets, of one type or of all: type, and where each one's content begins and ends."""
    for _ in range(_MAX_BOXES):
        head = source.read_at(at, 16) if at + 8 <= end else b""
        if len(head) < 8:
            return
        size, begin = int.from_bytes(head[:4], "big"), at + 8
        if size == 1:
            size, begin = int.from_bytes(head[8:], "big"), at + 16
        elif size == 0:
            size = end - at
        if at + size < begin:
            return
        name = head[4:8].decode("latin-1")
        if kind in (None, name):
            yield name, begin, min(at + size, end)
        at += size
