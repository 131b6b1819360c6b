"""Whether files of pictures in a row are whole: their headers promise no length, but their formats have an end."""

from __future__ import annotations

from typing import Final

from vidguard.video.source import Source

_TAIL_BYTES: Final = 1 << 16
_CHUNK_BYTES: Final = 1 << 16
_PNG_END: Final = b"IEND\xae\x42\x60\x82"
_JPEG_END: Final = b"\xff\xd9"
_GIF_TRAILER, _GIF_EXTENSION, _GIF_IMAGE = 0x3B, 0x21, 0x2C
_PADDING: Final = b"\0\r\n"
_FILL: Final = _PADDING + b"\xff"  # bytes that JPEG allows before a marker


def breaks_off(source: Source, container: str) -> bool:
    """Whether a GIF, APNG or raw MJPEG (FFmpeg's names) stops before its end. What follows the end doesn't matter.

    Of other containers, and of pipes that aren't held, nothing is known: False.
    """
    if container not in ("gif", "apng", "mjpeg") or not source.seekable:
        return False
    tail = source.read_tail(_TAIL_BYTES)
    if container == "apng":
        return _PNG_END not in tail
    if container == "mjpeg":
        return not tail.rstrip(_FILL).endswith(_JPEG_END)
    # every block before the trailer ends with a zero
    return not tail.rstrip(_PADDING).endswith(bytes((0, _GIF_TRAILER))) and not _Gif(source).has_trailer()


class _Gif:
    """A walk over the blocks of a GIF (GIF89a, 1990), which is the only way to find its end before what follows it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._chunk = b""
        self._start = 0

    def has_trailer(self) -> bool:
        at = 13 + self._table(10)
        while True:
            kind = self._byte(at)
            if kind == _GIF_EXTENSION:
                at += 2
            elif kind == _GIF_IMAGE:
                at += 11 + self._table(at + 9)
            else:
                return kind == _GIF_TRAILER
            while size := self._byte(at):
                at += 1 + size
            at += 1

    def _table(self, at: int) -> int:
        """Bytes of the colour table that the flags at an offset speak of."""
        flags = self._byte(at)
        return 3 << (flags & 7) + 1 if flags & 0x80 else 0

    def _byte(self, at: int) -> int:
        """The byte at an offset; 0, which is no block, behind the end."""
        if not self._start <= at < self._start + len(self._chunk):
            self._chunk, self._start = self._source.read_at(at, _CHUNK_BYTES), at
        return self._chunk[at - self._start] if at - self._start < len(self._chunk) else 0
