"""Key frames that are none by themselves: with intra refresh, a picture builds up over many frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from av.video.codeccontext import VideoCodecContext

_RECOVERY_POINT: Final = 6  # the SEI message's number, ITU-T H.264 D.1.8 and H.265 D.2.8
_START: Final = b"\0\0\1"


def builds_up(packet: bytes, context: VideoCodecContext) -> bool:
    """Whether a packet of H.264 or HEVC says, by a recovery point message, that decoding may begin at it.

    Nothing can be shown there yet, unless a whole picture stands in it too.
    """
    if context.name not in ("h264", "hevc"):
        return False
    for nal in _units(packet, context):
        if context.name == "h264" and nal[0] & 0x1F == 6 and _RECOVERY_POINT in _messages(nal[1:]):
            return True
        if context.name == "hevc" and nal[0] >> 1 & 0x3F == 39 and _RECOVERY_POINT in _messages(nal[2:]):
            return True
    return False


def _units(packet: bytes, context: VideoCodecContext) -> Iterator[bytes]:
    """The packet's NAL units, by start codes or, as in MP4, by their lengths."""
    extradata = context.extradata or b""
    if extradata[:1] != b"\1" or packet.startswith((_START, b"\0" + _START)):
        yield from (unit for unit in packet.split(_START) if unit)
        return
    where = 4 if context.name == "h264" else 21
    width = (extradata[where] & 3) + 1 if len(extradata) > where else 4
    at = 0
    while at + width < len(packet):
        size = int.from_bytes(packet[at : at + width], "big")
        if size == 0:
            return
        yield packet[at + width : at + width + size]
        at += width + size


def _messages(payload: bytes) -> Iterator[int]:
    """The kinds of SEI messages in one unit (ITU-T H.264 7.3.2.3: numbers of any size in bytes of 255 and a rest)."""
    at = 0
    while at + 2 <= len(payload):
        numbers = []
        for _ in range(2):
            number = 0
            while at < len(payload) and payload[at] == 0xFF:
                number, at = number + 255, at + 1
            number += payload[at] if at < len(payload) else 0
            at += 1
            numbers.append(number)
        yield numbers[0]
        at += numbers[1]
