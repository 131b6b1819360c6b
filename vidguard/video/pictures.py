"""What a picture file holds: one picture, several that Pillow reads, or what FFmpeg reads as a video."""

from __future__ import annotations

import re
from typing import Final, Literal

from vidguard.video.promise import iso_boxes
from vidguard.video.source import Source

_ISO_BRANDS: Final = (
    *(b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevm", b"hevs", b"hevx"),
    *(b"mif1", b"mif2", b"miaf", b"msf1"),
)
_AVIF_BRANDS: Final = (b"avif", b"avis")
_JPEG: Final = b"\xff\xd8\xff"
_CHUNK_BYTES: Final = 1 << 16
# In JPEG's picture data 0xFF stands before a zero, a restart marker or another 0xFF; anything else makes a marker.
_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_VIDEO_BEHIND: Final = re.compile(rb"ftyp(?:mp4|iso|qt  |3gp|avc|hvc|hev|M4V|MSNV)")
_MAX_SEGMENTS: Final = 4096

Behind = Literal["nothing", "pictures", "listed pictures", "video"]


def looks_like_a_picture(source: Source) -> bool:
    """Tell by the first bytes whether this is a format of pictures, however many it holds."""
    head = source.head
    return (
        head[:3] == _JPEG
        or head[:6] in (b"GIF87a", b"GIF89a")
        or head[:8] == b"\x89PNG\r\n\x1a\n"
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
        or (head[:2] == b"BM" and head[6:10] == b"\0\0\0\0")
        or (head[4:8] == b"ftyp" and head[8:12] in _ISO_BRANDS)
    )


def is_picture_sequence(source: Source) -> bool:
    """Whether a JPEG or HEIF is a video by its structure: raw MJPEG, an image sequence with a track.

    Those of AVIF Pillow reads by itself; of HEIF, and of AV1 under HEIF's name, it reads stills only.
    """
    if source.head[:3] == _JPEG:
        return behind_jpeg(source) == "pictures"
    return source.head[4:8] == b"ftyp" and source.head[8:12] not in _AVIF_BRANDS and "moov" in iso_boxes(source)


def behind_jpeg(source: Source) -> Behind:
    """What follows the first picture of a JPEG file: further ones, with or without a list of them, or a video."""
    end, listed = _end_of_jpeg(source)
    if end is None:
        return "nothing"
    following = source.read_at(end, _CHUNK_BYTES)
    if following.lstrip(b"\0").startswith(_JPEG):
        return "listed pictures" if listed else "pictures"
    while following:
        if _VIDEO_BEHIND.search(following):
            return "video"
        end += max(len(following) - 16, 1)
        following = source.read_at(end, _CHUNK_BYTES)
        if len(following) <= 16:
            break
    return "nothing"


def _end_of_jpeg(source: Source) -> tuple[int | None, bool]:
    """Where the first picture ends (None: nowhere), and whether it lists further ones (CIPA DC-007's MPF segment)."""
    at, listed = 2, False
    for _ in range(_MAX_SEGMENTS):
        head = source.read_at(at, 8)
        if len(head) < 4 or head[0] != 0xFF:
            return None, listed
        if head[1] == 0xD9:
            return at + 2, listed
        if head[1] == 0xFF:  # fill bytes may stand before any marker
            at += 1
            continue
        listed = listed or (head[1] == 0xE2 and head[4:8] == b"MPF\0")
        at += 2 + int.from_bytes(head[2:4], "big")
        if head[1] == 0xDA:
            found = _next_marker(source, at)
            if found is None:
                return None, listed
            at = found
    return None, listed


def _next_marker(source: Source, at: int) -> int | None:
    while data := source.read_at(at, _CHUNK_BYTES):
        found = _MARKER.search(data)
        if found is not None:
            return at + found.start()
        at += max(len(data) - 1, 1)
        if len(data) == 1:
            break
    return None
