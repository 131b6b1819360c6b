"""A copy of the source with what the Report says drawn into it.

Below the picture a strip is added (the picture itself is not covered): one row per face, coloured by probability, with
a cursor at the present moment; of many faces the 32 most suspicious. The sound is not copied.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vidguard.config import Limits
from vidguard.errors import InputError, SourceError
from vidguard.render.scale import rgb
from vidguard.render.start import from_start
from vidguard.render.timeline import WIDTH, Axis, by_track, containing, most_suspicious, time_axis
from vidguard.render.words import clock, percent
from vidguard.sandbox import Sandbox
from vidguard.types import BoxXyxyPx, Observation, PictureSize, Report, Segment, SourceInfo, Track
from vidguard.video import Letterbox, TimedImage, VideoReader, open_source, write_picture, write_video

Image = NDArray[np.uint8]
Progress = Callable[[float, "float | None"], None]

_BATCH: Final = 4  # full-size frames held at once
_MAX_ROWS: Final = 32  # of the strip, the most suspicious: a row for each of thousands would be higher than any video
_NO_FRAME: Final = "not one frame of the source could be decoded, so there is nothing to draw on"
_INK: Final = (255, 255, 255)
_STRIP: Final = (24, 28, 34)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX


class _Stage:
    """Where the picture is shown: as large as the largest that the source has, each one fitted in."""

    def __init__(self, source: SourceInfo) -> None:
        self._sizes = source.sizes
        if not self._sizes:
            self._sizes = (PictureSize(source.start_seconds, source.width or 1, source.height or 1),)
        self._size = max(s.width for s in self._sizes), max(s.height for s in self._sizes)

    def at(self, time: float) -> Letterbox:
        """How the picture of a moment is fitted in."""
        index = bisect_right(self._sizes, time, key=lambda size: size.start) - 1
        size = self._sizes[max(index, 0)]
        return Letterbox.fit((size.width, size.height), self._size)

    def show(self, frame: Image) -> Image:
        """A new picture with the frame on the stage."""
        return Letterbox.fit((frame.shape[1], frame.shape[0]), self._size).place(frame)


@dataclass(frozen=True)
class _Face:
    """One track, ready to be asked about any moment."""

    track: Track
    segments: tuple[Segment, ...]
    stage: _Stage

    def box(self, time: float) -> BoxXyxyPx | None:
        """Box on the stage, interpolated between the observations of the same visible span; None when out of sight."""
        span = containing(self.track.spans, time)
        if span is None:
            return None
        seen = [o for o in _around(self.track.observations, time) if span.start <= o.time < span.end]
        if not seen:
            return None
        times, boxes = [o.time for o in seen], [self.stage.at(o.time).box(o.box_xyxy_px) for o in seen]
        x0, y0, x1, y1 = (float(np.interp(time, times, [box[i] for box in boxes])) for i in range(4))
        return x0, y0, x1, y1

    def fake_prob(self, time: float) -> float | None:
        """Probability of the segment that holds the moment."""
        segment = containing(self.segments, time)
        return None if segment is None else segment.fake_prob


def save_overlay(
    source: str | Path | bytes | BinaryIO,
    report: Report,
    path: str | Path,
    *,
    progress: Progress | None = None,
    sandbox: Sandbox | None = None,
) -> None:
    """Write the source again with boxes, probabilities and a time strip drawn in, whole or not at all.

    source: what the report was made from. path: ``.mp4`` for a video (H.264, or MPEG-4 part 2 where PyAV was built
    without libx264; yuv420p, even sizes, no sound), ``.png`` for a still. Times are counted from the start of the file.
    Where the picture's size changes, the largest is kept, and the others are fitted into it, black around. progress:
    called with the seconds done and the total, if known. sandbox: decode there. Raises InputError where suffix and
    source don't fit or the source is another than the report's, SourceError where it can't be read, OutputError where
    path can't be written.
    """
    target = Path(path)
    wanted = ".png" if report.source.kind == "image" else ".mp4"
    if target.suffix.lower() != wanted:
        what = "a still" if wanted == ".png" else "a video"
        raise InputError(
            f"the overlay of {what} is written as {wanted}, not as {target.name}; give a path ending in {wanted}"
        )
    painter = Painter(report)
    limits = Limits(**report.settings.get("limits", {}))  # so that a still is as large as it was for the analysis
    with open_source(source, limits=limits, sandbox=sandbox) as reader:
        report.require_source(reader.info)
        if wanted == ".png":
            _save_still(reader, painter, target)
        else:
            write_video(
                target, _painted(reader, painter, progress), frame_rate=report.source.frame_rate, is_overlay=True
            )


class Painter:
    """Draws one report's findings into frames of its source."""

    def __init__(self, report: Report) -> None:
        """Sort the report by face once; its strip is drawn on the first frame."""
        self._origin = report.source.origin_seconds
        report = from_start(report)
        self._axis: Axis | None = None if report.source.kind == "image" else time_axis(report)
        self._stage = _Stage(report.source)
        segments = by_track(report, report.segments)
        self._faces = tuple(_Face(track, tuple(segments[track.id]), self._stage) for track in report.tracks)
        rows = {track.id for track in most_suspicious(report, _MAX_ROWS)}
        self._rows = tuple(face for face in self._faces if face.track.id in rows)
        self._strip: _Strip | None = None

    def paint(self, frame: Image, time: float) -> Image:
        """Return a new (H', W', 3) uint8 RGB picture: the frame, boxes, and the strip below.

        time: the frame's own, by the container's clock.
        """
        time -= self._origin
        picture = self._stage.show(frame)
        for face in self._faces:
            self._paint_box(picture, face, time)
        if self._axis is not None:
            if self._strip is None:
                self._strip = _Strip(self._axis, self._rows, picture.shape[1])
            picture = np.concatenate([picture, self._strip.at(time)])
        return picture

    def _paint_box(self, picture: Image, face: _Face, time: float) -> None:
        still = self._axis is None
        box = face.track.observations[0].box_xyxy_px if still else face.box(time)
        if box is None:
            return
        prob = face.track.fake_prob if still else face.fake_prob(time)
        x0, y0, x1, y1 = (round(v) for v in box)
        line = max(2, round(picture.shape[0] / 360))
        colour = rgb(prob)
        cv2.rectangle(picture, (x0, y0), (x1, y1), colour, line)
        label = f"face {face.track.id}  {'not judged' if prob is None else 'P(fake) ' + percent(prob)}"
        scale = max(0.4, picture.shape[0] / 1100)
        (width, height), base = cv2.getTextSize(label, _FONT, scale, line // 2 or 1)
        left = min(max(x0, 0), max(picture.shape[1] - width - 8, 0))
        bottom = y0 if y0 > height + base + 8 else min(y1 + height + base + 8, picture.shape[0])
        cv2.rectangle(picture, (left, bottom - height - base - 8), (left + width + 8, bottom), colour, cv2.FILLED)
        # Black on the light middle steps, white on the dark ends.
        ink = (0, 0, 0) if sum(colour) > 380 else _INK
        cv2.putText(picture, label, (left + 4, bottom - base - 3), _FONT, scale, ink, line // 2 or 1, cv2.LINE_AA)


def _around(observations: tuple[Observation, ...], time: float) -> tuple[Observation, ...]:
    after = bisect_right(observations, time, key=lambda o: o.time)
    return observations[max(after - 1, 0) : after + 1]


class _Strip:
    """The time strip for frames of one width: drawn once, then only the cursor moves."""

    def __init__(self, axis: Axis, faces: tuple[_Face, ...], width: int) -> None:
        row = max(8, round(width / 64)) if len(faces) <= 8 else max(6, round(width / 128))
        self._axis = axis
        self._head = max(12, round(width / 56))
        self._left = round(row * 2.2)
        self._pixels_per_unit = (width - self._left - 4) / WIDTH
        self._image: Image = np.full((self._head + row * max(1, len(faces)) + 4, width, 3), _STRIP, dtype=np.uint8)
        for number, face in enumerate(faces):
            rows = slice(self._head + number * row + 1, self._head + (number + 1) * row - 1)
            cv2.putText(self._image, str(face.track.id), (3, rows.stop - 1), _FONT, row / 30, _INK, 1, cv2.LINE_AA)
            for segment in face.segments:
                left, right = self._x(segment.start), self._x(segment.end)
                self._image[rows, left : max(right, left + 1)] = rgb(segment.fake_prob)

    def at(self, time: float) -> Image:
        """A copy with the cursor and the clock at a moment."""
        image: Image = self._image.copy()
        x, thick = self._x(time), max(1, image.shape[1] // 640)
        image[self._head :, x : x + thick] = _INK
        cv2.putText(image, clock(time), (4, self._head - 3), _FONT, self._head / 30, _INK, 1, cv2.LINE_AA)
        return image

    def _x(self, time: float) -> int:
        return round(self._left + self._axis.x(time) * self._pixels_per_unit)


def _save_still(reader: VideoReader, painter: Painter, target: Path) -> None:
    batch = next(iter(reader.batches(batch_size=1)), None)
    if batch is None:
        raise SourceError(_NO_FRAME)
    frame = batch.frames[0].permute(1, 2, 0).cpu().numpy()
    write_picture(target, painter.paint(frame, batch.pts_seconds[0]), is_overlay=True)


def _painted(reader: VideoReader, painter: Painter, progress: Progress | None) -> Iterator[TimedImage]:
    start, total = reader.info.start_seconds, reader.info.duration_seconds
    for batch in reader.batches(batch_size=_BATCH):
        for frame, time in zip(batch.frames.permute(0, 2, 3, 1).cpu().numpy(), batch.pts_seconds):
            yield painter.paint(frame, time), time - reader.info.origin_seconds
        if progress is not None:
            progress(batch.pts_seconds[-1] - start, total)
