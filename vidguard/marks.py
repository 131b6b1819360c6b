"""How overlays say that they are some, so that a folder searched for sources doesn't give those of the last run.

A mark is no proof, as anybody can write it. So whoever passes over a marked file has to say so.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from struct import error as StructError
from struct import pack, unpack
from typing import Final

OVERLAY_SUFFIXES: Final = (".overlay.mp4", ".overlay.png")
OVERLAY_MARK: Final = "vidguard overlay"
"""The comment in an overlay's metadata."""
_PNG_HEAD: Final = 33  # signature and the header, which must come first
_SEARCHED: Final = 1024  # the comment lies at the end of an MP4's index and at the beginning of a PNG


def mark_png(png: bytes) -> bytes:
    """A PNG with the mark as its comment."""
    chunk = b"tEXtComment\0" + OVERLAY_MARK.encode()
    length, check = pack(">I", len(chunk) - 4), pack(">I", zlib.crc32(chunk))
    return png[:_PNG_HEAD] + length + chunk + check + png[_PNG_HEAD:]


def is_own_overlay(path: Path) -> bool:
    """Whether a regular file has both an overlay's name and its mark."""
    if not path.name.lower().endswith(OVERLAY_SUFFIXES):
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_SEARCHED)
            if head[4:8] == b"ftyp":
                begin = unpack(">I", head[:4])[0]
                file.seek(begin)
                size, kind = unpack(">I4s", file.read(8))
                file.seek(begin + max(size - _SEARCHED, 0))
                head = file.read(_SEARCHED) if kind == b"moov" else b""
            return OVERLAY_MARK.encode() in head
    except (OSError, StructError):
        return False  # a source like any other, of which reading tells what is wrong
