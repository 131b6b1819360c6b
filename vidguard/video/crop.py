"""The part of the picture that a container says is to be shown: `clap` in MP4 and MOV, PixelCrop in Matroska.

FFmpeg reads both and leaves them to the player; PyAV hands neither on. A pipe, which can't be read ahead, has none.
"""

from __future__ import annotations

from fractions import Fraction
from struct import unpack
from typing import Final

from av.video.stream import VideoStream

from vidguard.video.boxes import boxes
from vidguard.video.ebml import SEGMENT, elements
from vidguard.video.source import Source

Crop = tuple[int, int, int, int]
"""Columns and rows cut off at the left, the top, the right and the bottom, in pixels as stored."""
NO_CROP: Final[Crop] = (0, 0, 0, 0)
_SAMPLE_ENTRY_BYTES: Final = 78  # of a VisualSampleEntry, ISO 14496-12, before its boxes
_TRACKS, _TRACK, _VIDEO = 0x1654AE6B, 0xAE, 0xE0
_PIXEL_CROPS: Final = (0x54CC, 0x54BB, 0x54DD, 0x54AA)


def read_crop(source: Source, stream: VideoStream, width: int, height: int) -> Crop:
    """Read it off the header; one that leaves nothing of width x height pixels, or isn't there, cuts nothing."""
    name = stream.container.format.name
    if not source.seekable or not name.startswith(("mov", "matroska")):
        return NO_CROP
    crop = _of_mov(source, stream, width, height) if name.startswith("mov") else _of_matroska(source, stream)
    left, top, right, bottom = crop
    return crop if min(crop) >= 0 and left + right < width and top + bottom < height else NO_CROP


def _of_mov(source: Source, stream: VideoStream, width: int, height: int) -> Crop:
    whole = (0, source.size_bytes or 0)
    for _, moov, moov_end in boxes(source, *whole, "moov"):
        for _, trak, trak_end in boxes(source, moov, moov_end, "trak"):
            for _, tkhd, _ in boxes(source, trak, trak_end, "tkhd"):
                at = tkhd + (20 if source.read_at(tkhd, 1) == b"\1" else 12)
                if int.from_bytes(source.read_at(at, 4), "big") == stream.id:
                    return _of_track(source, trak, trak_end, width, height)
    return NO_CROP


def _of_track(source: Source, at: int, end: int, width: int, height: int) -> Crop:
    for kind in ("mdia", "minf", "stbl", "stsd"):
        _, at, end = next(boxes(source, at, end, kind), ("", end, end))
    _, at, end = next(boxes(source, at + 8, end), ("", end, end))
    _, at, end = next(boxes(source, at + _SAMPLE_ENTRY_BYTES, end, "clap"), ("", end, end))
    if end - at < 32:
        return NO_CROP
    values = unpack(">IIIIiIiI", source.read_at(at, 32))
    if 0 in values[1::2]:
        return NO_CROP
    wide, high, across, down = (Fraction(a, b) for a, b in zip(values[::2], values[1::2]))
    left, top = (width - wide) / 2 + across, (height - high) / 2 + down
    return int(left), int(top), int(width - wide - left), int(height - high - top)


def _of_matroska(source: Source, stream: VideoStream) -> Crop:
    end = source.size_bytes or 0
    for _, segment, segment_end in elements(source, 0, end, SEGMENT):
        for _, tracks, tracks_end in elements(source, segment, segment_end, _TRACKS):
            listed = list(elements(source, tracks, tracks_end, _TRACK))
            if stream.index >= len(listed):
                return NO_CROP
            for _, video, video_end in elements(source, *listed[stream.index][1:], _VIDEO):
                found = {
                    name: int.from_bytes(source.read_at(at, min(stop - at, 8)), "big")
                    for name, at, stop in elements(source, video, video_end)
                    if name in _PIXEL_CROPS
                }
                left, top, right, bottom = (found.get(name, 0) for name in _PIXEL_CROPS)
                return left, top, right, bottom
            return NO_CROP
    return NO_CROP
