"""Telling files that may show something from all others by their first bytes, whatever they are called."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_HEAD_BYTES: Final = 1 << 16
_STARTS: Final = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a"),
    *(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),  # TIFF and BigTIFF
    *(b"FLV\1", b"DKIF", b"YUV4MPEG2", b"nut/multimedia container\0", b".RMF", b"FWS", b"CWS", b"NSVf", b"NSVs"),
    *(b"\0\0\1\xba", b"\0\0\1\xb3", b"\0\0\1\xb0"),  # MPEG: program stream, video, MPEG-4 part 2
    *(b"\x06\x0e\x2b\x34", b"\0\0\0\0\1\xbc"),  # MXF, GXF
    b"\xb7\xd8\x00\x20\x37\x49\xda\x11",  # WTV
    *(b"\x1f\x07\0", b"\x12\0\x0a"),  # DV; AV1 as low overhead units
)
_ISO_BOXES: Final = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"moof")
_SOUND_BRANDS: Final = (b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B ")
_OGG_VIDEO: Final = re.compile(rb"\x80theora|OVP80|BBCD\0|\x01video")
_ASF: Final = bytes.fromhex("3026b2758e66cf11")
_ASF_VIDEO: Final = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_PARAMETER_SETS: Final = (6, 7, 9)  # NAL units that H.264 begins with: also what an encoder says of itself
_HEVC_SETS: Final = (32, 33, 35)
_MIN_PICTURE_BYTES: Final = 16


def may_show_something(path: Path) -> bool:
    """Tell by content whether a file is of a kind that holds video or pictures; one that can't be read may be.

    Sound alone isn't, where the first 64 KiB tell it from video.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return True
    return len(head) >= _MIN_PICTURE_BYTES and (head.startswith(_STARTS) or _by_structure(head))


def _by_structure(head: bytes) -> bool:
    if head[4:8] in _ISO_BOXES:
        return head[4:8] != b"ftyp" or head[8:12] not in _SOUND_BRANDS
    if head[:4] == b"RIFF":
        return head[8:12] in (b"AVI ", b"AVIX", b"WEBP", b"AMV ")
    if head[:4] == b"\x1a\x45\xdf\xa3":  # EBML: video codecs are called V_...
        return b"\x86" in head and re.search(rb"\x86.{1,2}V_", head, re.DOTALL) is not None
    if head[:4] == b"OggS":
        return _OGG_VIDEO.search(head) is not None
    if head[:8] == _ASF:
        return _ASF_VIDEO in head
    if head[:2] == b"BM":
        return head[6:10] == b"\0\0\0\0"
    return _is_transport_stream(head) or _is_raw_video(head)


def _is_transport_stream(head: bytes) -> bool:
    """MPEG-TS in packets of 188 bytes, of 192 with times (M2TS) or 204 with error correction."""
    return any(
        len(head) > at + 2 * size and all(head[at + k * size] == 0x47 for k in range(3))
        for size, at in ((188, 0), (192, 4), (204, 0))
    )


def _is_raw_video(head: bytes) -> bool:
    """H.264 or HEVC as in files: start codes, first of all the parameter sets."""
    if not head.startswith((b"\0\0\0\1", b"\0\0\1")):
        return False
    kind = head[head.index(b"\1") + 1]
    return kind & 0x80 == 0 and (kind & 0x1F in _PARAMETER_SETS or kind >> 1 in _HEVC_SETS)
