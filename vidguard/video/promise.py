"""What a file's header promises, and whether that much was shown: one comparison for all readers.

A header can be wrong by damage or on purpose: four bytes of an edit list or a time scale hide most of a clip from
whoever believes them. Here the header's own statements are held against each other and against what was decoded.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from av.container import Container, InputContainer
from av.video.stream import VideoStream

from vidguard.video.boxes import boxes
from vidguard.video.container import AV_TIME_BASE
from vidguard.video.ebml import declared_end
from vidguard.video.ending import breaks_off
from vidguard.video.limits import length
from vidguard.video.source import Source

# How much earlier than its header says a stream may end: encoders round, and the last frame may not be counted.
_END_TOLERANCE_SECONDS: Final = 0.5
_END_TOLERANCE_FRAMES: Final = 1.5
# Below this share of what another place of the header says, times were squeezed. What rounding, sound and editors do to
# a header is far from it, and fewer frames are only looked at once most of the time is gone.
_LEAST_SHARE: Final = 0.5
_MOV: Final = "mov,mp4,m4a,3gp,3g2,mj2"
_MATROSKA: Final = "matroska,webm"
_UNTIMED: Final = 0x0080  # AVFMT_NOTIMESTAMPS of FFmpeg's avformat.h: elementary streams, whose times FFmpeg invents
_MAX_REORDER: Final = 16  # frames, the most that H.264 and HEVC may decode before one that is shown earlier
_HEAD_BYTES: Final = 1 << 16
_ASF_FILE_PROPERTIES: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


@dataclass(frozen=True)
class Promise:
    """What the header says. Seconds count as the stream's own times do."""

    end_seconds: float | None
    """When the video ends; None where the header doesn't say, or where the last frame may last until then."""
    tolerance_seconds: float
    full_seconds: float | None
    """How long it lasts by a second statement, such as the track header's; None without one."""
    num_frames: int | None
    num_shown: int | None
    """Of those, what an edit list leaves to be shown; None without one."""
    num_preroll: int = 0
    """Frames that only lead from a key frame to the first one shown."""
    frame_seconds: float = 0.04
    missing_bytes: tuple[int, int] | None = None
    """Bytes there are, and bytes the header speaks of, where it's more."""
    counts_from_zero: bool = False
    """Whether its seconds are those of the clock of the stream's times, not of the time since the file's start."""
    breaks_off: bool = False
    """Whether pictures in a row stop before the end that their format has."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is unusual but right."""
        if not self.num_preroll:
            return ()
        return (f"{self.num_preroll} frames before the start are hidden by an edit list: the clip was trimmed",)

    def broken(self, start: float, end: float, num_frames: int | None = None, *, origin: float = 0.0) -> Iterator[str]:
        """Say, in sentences, what of the promise a video shown from start to end (seconds) doesn't keep.

        num_frames: how many frames were shown; None where not all were looked for. origin: when the file starts by the
        same clock; the sentences tell time from there.
        """
        if self.missing_bytes is not None:
            there, all_bytes = self.missing_bytes
            yield f"the file has {there} of the {all_bytes} bytes that its header promises"
        if self.breaks_off:
            yield "the file breaks off before the end of its pictures"
        if hidden := self._hidden(num_frames):
            yield hidden
        # Matroska counts durations from zero, others from the first frame: only a negative start needs regard.
        shown = end - min(start, 0.0)
        lead = max(origin, 0.0) if self.counts_from_zero else 0.0
        if self.end_seconds is not None and shown < self.end_seconds - self.tolerance_seconds:
            yield f"the video ends at {end - origin:.2f} s, its header promised {self.end_seconds - lead:.2f} s"
        elif self.full_seconds is not None and shown < self.full_seconds * _LEAST_SHARE - _END_TOLERANCE_SECONDS:
            promised = self.full_seconds - lead
            yield f"the video shows {end - origin:.2f} s, another part of its header promised {promised:.2f} s"

    def _hidden(self, num_frames: int | None) -> str | None:
        if self.num_frames is None:
            return None
        by_edits = self.num_frames if self.num_shown is None else self.num_shown
        shown = by_edits if num_frames is None else min(num_frames, by_edits)
        missing = self.num_frames - shown - self.num_preroll
        too_many = missing * self.frame_seconds > self.tolerance_seconds
        if not too_many and shown >= self.num_frames * _LEAST_SHARE:
            return None
        why = "" if shown < by_edits else "; the header's edit list or tables hide the others"
        return f"{shown} of {self.num_frames} frames were shown{why}"


def is_untimed(container: Container) -> bool:
    """Whether this is an elementary stream, which has no times of its own and whose length FFmpeg guesses."""
    return bool(int(container.format.flags) & _UNTIMED)


def container_seconds(container: InputContainer) -> float | None:
    """How long the whole file lasts by its header, sound included."""
    if container.duration is None or is_untimed(container):
        return None
    return length(container.duration / AV_TIME_BASE)


def stream_seconds(stream: VideoStream) -> float | None:
    """Give how long the video stream itself lasts by its header, if the header says."""
    if is_untimed(stream.container):
        return None
    if stream.duration is not None and stream.time_base is not None:
        return length(float(stream.duration * stream.time_base))
    tag = stream.metadata.get("DURATION")  # Matroska: 00:01:02.030000000, counted from zero
    if tag is None:
        return None
    try:
        hours, minutes, seconds = tag.split(":")
        return length(int(hours) * 3600 + int(minutes) * 60 + float(seconds))
    except (ValueError, OverflowError):
        return None


def read_promise(source: Source, container: InputContainer, stream: VideoStream) -> Promise:
    """Read it all off the headers; nothing is decoded."""
    name = container.format.name
    rate = stream.average_rate or stream.guessed_rate
    frame_seconds = float(1 / rate) if rate else 0.04
    declared = _declared_bytes(source, name)
    all_there = declared is not None and source.size_bytes is not None and source.size_bytes >= declared
    end = stream_seconds(stream)
    if end is None and len(container.streams) == 1:
        end = container_seconds(container)
    full_seconds, num_frames, num_shown, num_preroll = None, None, None, 0
    if name == "avi":
        full_seconds = _avi_seconds(source)
    if name == _MATROSKA and end is not None and (container_seconds(container) or end) < end * _LEAST_SHARE:
        full_seconds = end  # no part lasts longer than the whole: its time scale was changed
    if all_there or (name == "asf" and len(container.streams) > 1):
        end = (
            None  # in a whole file the last frame lasts until the end, and ASF states the end of sound for all streams
        )
    if name == _MOV:
        full_seconds, num_samples = _mov_track(source, stream)
        num_frames = max(stream.frames, num_samples) or None
        num_shown, num_preroll = _left_by_edits(stream)
    return Promise(
        end_seconds=end,
        tolerance_seconds=max(_END_TOLERANCE_SECONDS, _END_TOLERANCE_FRAMES * frame_seconds),
        full_seconds=full_seconds,
        num_frames=num_frames,
        num_shown=num_shown,
        num_preroll=num_preroll,
        frame_seconds=frame_seconds,
        missing_bytes=None
        if declared is None or all_there or source.size_bytes is None
        else (source.size_bytes, declared),
        counts_from_zero=name == _MATROSKA,
        breaks_off=breaks_off(source, name),
    )


def _left_by_edits(stream: VideoStream) -> tuple[int | None, int]:
    """Frames that are shown, and those before the first of them that are decoded only to get there."""
    hidden = [entry.is_discard for entry in stream.index_entries]
    shown = len(hidden) - sum(hidden)
    if not hidden or shown == stream.frames:
        return None, 0
    before = hidden.index(False) if shown else 0
    return shown, sum(hidden[: before + _MAX_REORDER]) if before else 0


def _mov_track(source: Source, stream: VideoStream) -> tuple[float | None, int]:
    """Seconds by the header of the stream's track, and the samples that its table of sizes counts."""
    per_second = 0
    for kind, at, end in boxes(source, *_inside(source, 0, sys.maxsize, "moov")):
        if kind == "mvhd":
            wide = source.read_at(at, 1) == b"\1"
            per_second = _number(source, at + (20 if wide else 12), 4)
        if kind != "trak":
            continue
        header, _ = _inside(source, at, end, "tkhd")
        wide = source.read_at(header, 1) == b"\1"
        if _number(source, header + (20 if wide else 12), 4) != stream.id:
            continue
        ticks = _number(source, header + (28 if wide else 20), 8 if wide else 4)
        table = (at, end)
        for name in ("mdia", "minf", "stbl", "stsz"):
            table = _inside(source, *table, name)
        unknown = ticks in (0, 2**32 - 1, 2**64 - 1) or not per_second
        return None if unknown else ticks / per_second, _number(source, table[0] + 8, 4)
    return None, 0


def _inside(source: Source, at: int, end: int, kind: str) -> tuple[int, int]:
    """The content of the first box of a kind; an empty range where there is none."""
    return next(((first, last) for found, first, last in boxes(source, at, end) if found == kind), (end, end))


def iso_boxes(source: Source) -> frozenset[str]:
    """The types of an ISO file's outermost boxes."""
    return frozenset(kind for kind, _, _ in boxes(source, 0, sys.maxsize))


def _number(source: Source, at: int, size: int) -> int:
    return int.from_bytes(source.read_at(at, size), "big")


def _avi_seconds(source: Source) -> float | None:
    """Seconds by the main header: microseconds a frame times frames."""
    if source.head[24:28] != b"avih" or len(source.head) < 52:
        return None
    microseconds, frames = (int.from_bytes(source.head[at : at + 4], "little") for at in (32, 48))
    return microseconds * frames / 1e6 or None


def _declared_bytes(source: Source, container: str) -> int | None:
    """How long the file is to be by its own header, for containers whose times don't tell whether the end is there."""
    if container == _MATROSKA:
        return declared_end(source)
    if container != "asf":
        return None
    head = source.read_at(0, _HEAD_BYTES)
    at = head.find(_ASF_FILE_PROPERTIES)
    return int.from_bytes(head[at + 40 : at + 48], "little") or None if at >= 0 else None
