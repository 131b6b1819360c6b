"""The nouns of vidguard. Each is frozen and refuses, at birth, a state that makes no sense.

Time is the container's presentation time in seconds, intervals are half-open ``[start, end)``. Boxes are
``(x0, y0, x1, y1)`` in pixels of the upright (rotated as displayed) frame.
"""

from __future__ import annotations

import html
import itertools
import sys
from base64 import b64encode
from dataclasses import dataclass as plain_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args

from pydantic import ConfigDict, Field, PlainSerializer, TypeAdapter, ValidationError, WithJsonSchema
from pydantic.dataclasses import dataclass

from vidguard.errors import InputError, ReportFormatError
from vidguard.files import write_whole
from vidguard.text import printable, printable_json

if TYPE_CHECKING:
    import pandas
    from torch import Tensor

SCHEMA_VERSION: Final = 1
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False, ser_json_bytes="base64", val_json_bytes="base64")

MAX_SECONDS: Final = 1e10
"""Three centuries to either side of zero: covers streams timed by the clock of 1970, still a microsecond fine."""
_MAX_COUNT: Final = 2**53 - 1  # what a page's script can count exactly
_MAX_DEPTH: Final = 16  # of plain values in one another

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(ge=-MAX_SECONDS, le=MAX_SECONDS)]
"""A moment."""
Span = Annotated[float, Field(ge=0.0, le=MAX_SECONDS)]
"""A length of time in seconds."""
Pixels = Annotated[float, Field(ge=-1e6, le=1e6)]
"""A coordinate in a picture, or near it."""
Degrees = Annotated[float, Field(ge=-360.0, le=360.0)]
Side = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""Pixels along an edge of a picture."""
Count = Annotated[int, Field(ge=0, le=_MAX_COUNT)]
Label = Literal["genuine", "manipulated", "undecided"]
KindOfManipulation = Literal["identity", "expression", "attribute", "generated"]
KINDS_OF_MANIPULATION: Final[tuple[KindOfManipulation, ...]] = get_args(KindOfManipulation)
"""Another person's face laid on; the face's own expression changed; its parts or looks changed; no person at all."""
# Raw JPEG bytes in Python, standard base64 in JSON (pydantic's base64 modes give the URL alphabet or decode at birth).
JpegBytes = Annotated[
    bytes,
    PlainSerializer(lambda jpeg: b64encode(jpeg).decode(), return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "contentMediaType": "image/jpeg"}),
]
BoxXyxyPx = tuple[Pixels, Pixels, Pixels, Pixels]
PointPx = tuple[Pixels, Pixels]


class Status(str, Enum):
    """Why there is, or isn't, a probability. Only OK and PARTIAL come with one."""

    OK = "ok"
    PARTIAL = "partial"
    """Not all of the source was seen: damaged, cut by a limit, partly hidden, or more faces at once than are looked at.
    What could be was judged."""
    NO_FACE = "no_face"
    TOO_SHORT = "too_short"
    """Faces were seen, but none for long enough, or so clearly that it is sure to be a face."""
    TOO_BLURRED = "too_blurred"
    """Faces were seen clearly enough to be faces, but too small or too blurred to tell a forged one by."""
    UNDECODABLE = "undecodable"
    """There is a video stream, but not one frame could be decoded."""


@plain_dataclass(frozen=True)
class FrameBatch:
    """Consecutive frames of one stream.

    frames: (N, 3, H, W) uint8 RGB, upright, on the reader's device; pts_seconds: (N,) strictly increasing floats.
    """

    frames: Tensor
    pts_seconds: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse a wrong shape, type or order of times."""
        import torch

        if self.frames.ndim != 4 or self.frames.shape[1] != 3 or self.frames.dtype != torch.uint8:
            raise InputError(f"frames must be (N, 3, H, W) uint8, got {tuple(self.frames.shape)} {self.frames.dtype}")
        if len(self.pts_seconds) != len(self.frames):
            raise InputError(f"{len(self.frames)} frames but {len(self.pts_seconds)} times")
        if min(self.frames.shape[2:]) == 0 or not all(abs(t) <= MAX_SECONDS / 2 for t in self.pts_seconds):
            raise InputError(
                f"frames must not be empty pictures, and their times finite and within {MAX_SECONDS / 2:g} s of zero"
            )
        if any(b <= a for a, b in zip(self.pts_seconds, self.pts_seconds[1:])):
            raise InputError("frame times must increase strictly")

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.pts_seconds)


@dataclass(frozen=True, config=_STRICT)
class PictureSize:
    """The upright size that the picture has from a moment on, in pixels."""

    start: float
    """In seconds, of the container's time."""
    width: int
    height: int


@dataclass(frozen=True, config=_STRICT)
class SourceInfo:
    """What the container says of the source, before and beside what decoding finds out."""

    kind: Literal["video", "image", "stream"]
    name: str
    """File name, or "<bytes>", "<file object>", "<stream>"."""
    container: str | None = None
    codec: str | None = None
    pixel_format: str | None = None
    width: Side | None = None
    """Upright width in pixels (after rotation); of the first frame, where it changes on the way."""
    height: Side | None = None
    sizes: tuple[PictureSize, ...] = ()
    """Every size that the picture had, in order of time, the first among them; empty where it never changes.

    Boxes and landmarks are in pixels of the size at their time."""
    rotation_degrees: int = 0
    """Clockwise turn, a multiple of 90, that was applied to show the picture upright."""
    frame_rate: Annotated[float, Field(gt=0.0, le=1e9)] | None = None
    """Average frames per second by the header or, where that states none, of the frames shown; None for stills."""
    start_seconds: Seconds = 0.0
    """When the first frame is shown, by the container's own clock, which all times of a report go by."""
    origin_seconds: Seconds = 0.0
    """Where the container's own clock stands at the start of the file. People count from there, as players do."""
    duration_seconds: Span | None = None
    num_frames_header: Count | None = None
    size_bytes: Count | None = None
    sha256: str | None = None
    color_matrix: str | None = None
    color_range: str | None = None
    color_transfer: str | None = None
    interlaced: bool = False
    num_video_streams: Count = 1
    stream_index: Count = 0


@dataclass(frozen=True, config=_STRICT)
class Quality:
    """How well a face could be seen. Units in names; larger sharpness is sharper."""

    face_px: Annotated[float, Field(ge=0.0, le=1e6)]
    """Geometric mean of the box's sides, pixels of the source frame."""
    sharpness: Annotated[float, Field(ge=0.0, le=1e6)]
    """Standard deviation of the Laplacian of the grey aligned crop (0-255 scale)."""
    yaw_degrees: Degrees
    """Rough left/right turn estimated from the five landmarks; 0 is frontal."""
    roll_degrees: Degrees
    detail: Annotated[float, Field(ge=0.0, le=1e6)] | None = None
    """How much finer structure there is than a blur leaves, in the direction where there is least: 1.1 (smeared, by
    motion too, or enlarged from very little) to about 6. Unlike sharpness it hardly depends on contrast and noise. None
    in older reports."""


@dataclass(frozen=True, config=_STRICT)
class Observation:
    """One face in one analysed frame."""

    time: Seconds
    box_xyxy_px: BoxXyxyPx
    landmarks_px: tuple[PointPx, PointPx, PointPx, PointPx, PointPx]
    """Left eye, right eye, nose, left mouth corner, right mouth corner (as seen in the picture).

    A face found only in the picture turned (a note says so) has them as seen in the turned one; they and the box are
    still in pixels of the picture as the file shows it, where overlays belong. Its crops and thumbnails are upright."""
    detection_prob: Probability
    quality: Quality
    fake_prob: Probability | None = None


@dataclass(frozen=True, config=_STRICT)
class Interval:
    """A half-open stretch of time ``[start, end)`` in seconds."""

    start: Seconds
    end: Seconds

    def __post_init__(self) -> None:
        """Refuse an empty interval."""
        if not self.end > self.start:
            raise ValueError(f"an interval must not be empty: [{self.start}, {self.end})")

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.end - self.start


@dataclass(frozen=True, config=_STRICT)
class KindGuess:
    """The most likely kind of manipulation of a face that counts as manipulated."""

    kind: KindOfManipulation
    prob: Probability
    """Given that the face is manipulated at all; the other kinds share the rest. Not calibrated."""


@dataclass(frozen=True, config=_STRICT)
class Track:
    """One face followed through time. ``spans`` are the stretches in which it was visible, sorted and disjoint."""

    id: Count
    spans: tuple[Interval, ...]
    observations: tuple[Observation, ...]
    status: Status
    fake_prob: Probability | None
    decision: Label | None = None
    """By the bounds of `Report.decision`; None without a probability, or where the weights have no decision rule."""
    kind: KindGuess | None = None
    """None below the threshold, and where the weights tell no kinds apart."""

    def __post_init__(self) -> None:
        """Refuse a track without visible time or with unsorted times."""
        if not self.spans or not self.observations:
            raise ValueError(f"track {self.id} has no visible time")
        _require_sorted_disjoint(self.spans)
        if any(after.time <= before.time for before, after in itertools.pairwise(self.observations)):
            raise ValueError(f"the observations of track {self.id} are not in order of time")
        _require_agreement(self.status, self.fake_prob, self.decision)

    @property
    def start(self) -> float:
        """First visible moment, seconds."""
        return self.spans[0].start

    @property
    def end(self) -> float:
        """End of the last visible moment, seconds."""
        return self.spans[-1].end


@dataclass(frozen=True, config=_STRICT)
class Segment(Interval):
    """A stretch of one track's visible time with its calibrated probability of being fake."""

    track_id: Count
    fake_prob: Probability | None
    """None where no frame of the stretch was good enough to judge."""
    num_frames: Count
    """Looks at frames that carry the probability: a frame that stays on screen is looked at again and again, as often
    as the frames that would repeat it at a constant rate."""
    decision: Label | None = None
    """By bounds of its own, which keep to the same error rate for stretches."""


@dataclass(frozen=True, config=_STRICT)
class Finding(Interval):
    """A suspicious stretch of one track: frames that stay suspicious, short lulls between them included.

    By weights without a `WeightsInfo.finding_threshold`, and in stills, adjacent suspicious segments, merged."""

    track_id: Count
    fake_prob: Probability
    """Time-weighted mean over its frames, or segments."""
    peak_time: Seconds
    """The most suspicious moment, seconds."""
    peak_fake_prob: Probability
    kind: KindGuess | None = None
    """Of this stretch; None where the weights tell no kinds apart."""


@dataclass(frozen=True, config=_STRICT)
class Thumbnail:
    """A small JPEG of one face at one moment, as the encoders saw it (aligned crop)."""

    track_id: Count
    time: Seconds
    jpeg: JpegBytes

    def __post_init__(self) -> None:
        """Refuse anything else, such as base64 text, before it is found out in a browser."""
        _require_jpeg(self.jpeg)


@dataclass(frozen=True, config=_STRICT)
class Explanation:
    """What a finding's most suspicious frame was judged by: which encoders, and which part of the face."""

    track_id: Count
    time: Seconds
    members: dict[str, float]
    """By encoder what it adds to the fused logit of this frame: above 0 it speaks for a forgery, below against."""
    regions: dict[str, Probability]
    """By part of the face the share, 0..1, of the evidence for a forgery that came from there, largest first.

    Empty where no place speaks for one."""
    jpeg: JpegBytes
    """The aligned crop, marked where most of that evidence came from."""

    def __post_init__(self) -> None:
        """Refuse anything but a JPEG's raw bytes."""
        _require_jpeg(self.jpeg)


@dataclass(frozen=True, config=_STRICT)
class Coverage:
    """How much of the source the answer rests on."""

    num_frames_decoded: Count
    num_frames_analysed: Count
    seconds: Span
    """Time for which the analysed frames are shown, each until the next one, for 600 s at most."""
    seconds_with_face: Span
    seconds_judged: Span
    complete: bool = True
    """False where not all of the source was seen: damaged, cut, partly hidden by its own header, or with faces left
    out. With a probability the status is then PARTIAL; without one, as where no face was found, this alone tells."""
    num_faces_left_out: Count = 0
    """Most faces of one frame that were not looked at: the smallest, beyond `FaceConfig.max_faces`."""


@dataclass(frozen=True, config=_STRICT)
class WeightsInfo:
    """Which weights judged, and how their calibration was measured."""

    name: str
    sha256: str
    encoders: tuple[str, ...]
    threshold: Probability
    """Default video-level decision threshold."""
    segment_threshold: Probability
    """Segments at or above it are suspicious, and merged into findings where there is no `finding_threshold`."""
    threshold_note: str
    """What the threshold was chosen for and on what."""
    calibrated: bool = True
    """False for imported weights: their numbers order faces, but aren't measured probabilities."""
    finding_threshold: Probability | None = None
    """A video's findings are told by frames: two at or above it open one. None: suspicious segments are merged."""

    @property
    def finding_from(self) -> float:
        """The probability that a finding begins at, of frames or else of segments."""
        return self.segment_threshold if self.finding_threshold is None else self.finding_threshold


@dataclass(frozen=True, config=_STRICT)
class Decision:
    """What the probability says at a stated error rate."""

    label: Label
    """"manipulated" where the probability reaches its bound, "genuine" where every judged face lies below its bound
    and all of the source was looked at."""
    error_rate: Probability
    """Largest share of genuine material called manipulated, and of manipulated material called genuine."""
    genuine_below: Probability
    manipulated_from: Probability
    """`WeightsInfo.threshold`, whose note says what the rate rests on; on other material it may not hold."""


@dataclass(frozen=True, config=_STRICT)
class EngineInfo:
    """The code and machine that gave the answer."""

    vidguard: str
    python: str
    torch: str
    av: str
    device: str
    reader: str
    """Backend that decoded: "pyav", "pyav-nvdec", "decord", "pillow" or "caller"."""
    notes: tuple[str, ...] = ()
    """What happened on the way: fallbacks with their reason, tone mapping, damage."""


@dataclass(frozen=True, config=_STRICT, repr=False)
class Report:
    """The answer about one source. Serialises to JSON that round-trips; see `json_schema`."""

    status: Status
    fake_prob: Probability | None
    """Calibrated probability that the most suspicious judged face is fake; None unless status is OK or PARTIAL.

    A single face's own; with several it is corrected for their number and time (`verdict.video_logit`): independent
    genuine faces, however many, reach a threshold about as often as one, faces that go together less often."""
    explanation: str
    """One sentence: what the answer is or why there is none."""
    source: SourceInfo
    coverage: Coverage
    weights: WeightsInfo
    engine: EngineInfo
    settings: dict[str, Any]
    tracks: tuple[Track, ...] = ()
    segments: tuple[Segment, ...] = ()
    """Sorted by track, then time; per track disjoint, covering exactly its visible spans."""
    findings: tuple[Finding, ...] = ()
    thumbnails: tuple[Thumbnail, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    """Of the most suspicious findings, where `Detector.explain` was asked for them."""
    decision: Decision | None = None
    """None without a probability, and where the weights' validation material promises no error rate."""
    schema_version: Literal[1] = SCHEMA_VERSION

    def __post_init__(self) -> None:
        """Refuse tracks that can't be told apart or aren't covered by segments, parts of no track, and settings that
        JSON can't carry; and a probability that contradicts the status."""
        _require_agreement(self.status, self.fake_prob, self.decision)
        require_plain(self.settings)
        by_track: dict[int, list[Segment]] = {track.id: [] for track in self.tracks}
        if len(by_track) != len(self.tracks):
            raise ValueError("two tracks have the same id")
        parts: itertools.chain[Segment | Finding | Thumbnail | Explanation] = itertools.chain(
            self.segments, self.findings, self.thumbnails, self.explanations
        )
        for part in parts:
            if part.track_id not in by_track:
                raise ValueError(f"{type(part).__name__.lower()} of unknown track {part.track_id}")
        for segment in self.segments:
            by_track[segment.track_id].append(segment)
        for track in self.tracks:
            _require_cover(track, by_track[track.id])

    def require_source(self, source: SourceInfo) -> None:
        """Raise InputError for a source other than the report's, told by its bytes; a pipe's report names none."""
        if self.source.sha256 is not None and source.sha256 != self.source.sha256:
            seen = "has no digest" if source.sha256 is None else f"has {source.sha256[:12]}…"
            raise InputError(
                f"{source.name} isn't what the report was made from (SHA-256 {self.source.sha256[:12]}…, this {seen}): "
                "the file is another one, or changed meanwhile; analyse it again"
            )

    def __repr__(self) -> str:
        """A line to read: what was analysed, what is said of it, and how much of it there is."""
        told = [printable(self.source.name), self.status.value]
        told += [] if self.fake_prob is None else [f"fake_prob={self.fake_prob:g}"]
        told += [] if self.decision is None else [self.decision.label]
        counts = ((len(self.tracks), "track"), (len(self.segments), "segment"), (len(self.findings), "finding"))
        told += [f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts]
        return f"<Report: {', '.join(told)}>"

    def _repr_html_(self) -> str:
        """For notebooks: the page of `save_html`, in a frame that can reach nothing of the notebook's."""
        from vidguard.render.html import render_html  # upward, and resolved on use, as in save_html

        page = html.escape(render_html(self), quote=True)
        return (
            f'<iframe sandbox="allow-scripts" srcdoc="{page}" style="width: 100%; height: 600px; border: 0"></iframe>'
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers: what `to_json` writes."""
        plain: dict[str, Any] = _report_adapter().dump_python(self, mode="json")
        return plain

    def to_pandas(self) -> pandas.DataFrame:
        """The segments as a table, one row each: track_id, start and end (s), fake_prob, num_frames, decision.

        fake_prob is NaN where nothing was judged. Needs pandas.
        """
        import pandas

        columns = ["track_id", "start", "end", "fake_prob", "num_frames", "decision"]
        rows = [[getattr(segment, column) for column in columns] for segment in self.segments]
        return pandas.DataFrame(rows, columns=columns).astype({"fake_prob": float})

    def to_json(self, *, indent: int | None = 2) -> str:
        """Serialise; `from_json` gives an equal report back."""
        return printable_json(_report_adapter().dump_json(self, indent=indent).decode())

    @staticmethod
    def from_json(text: str | bytes) -> Report:
        """Read what `to_json` wrote. Raises ReportFormatError on anything else."""
        try:
            return _report_adapter().validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the text"
            raise ReportFormatError(
                f"not a vidguard report of schema {SCHEMA_VERSION}: {where}: {first['msg']}"
            ) from error

    @staticmethod
    def json_schema() -> dict[str, Any]:
        """The JSON Schema (2020-12) of `to_json`'s output."""
        return _report_adapter().json_schema(mode="serialization")

    def save_json(self, path: str | Path) -> None:
        """Write `to_json` to a file, whole or not at all."""
        write_whole(path, self.to_json().encode())

    def save_html(self, path: str | Path) -> None:
        """Write one self-contained HTML page about this report, whole or not at all."""
        from vidguard.render.html import render_html  # upward: a convenience, resolved on use

        write_whole(path, render_html(self).encode())


def _report_adapter() -> TypeAdapter[Report]:
    return TypeAdapter(Report)


def _require_agreement(status: Status, fake_prob: float | None, decision: object) -> None:
    judged = status in (Status.OK, Status.PARTIAL)
    if judged != (fake_prob is not None):
        raise ValueError(
            f"status {status.value} with fake_prob {fake_prob}: a probability comes with OK or PARTIAL only"
        )
    if decision is not None and fake_prob is None:
        raise ValueError("a decision comes with a probability only")


def require_plain(value: object, depth: int = 0) -> None:
    """Refuse what would stop a view or a reader of JSON, by ValueError: deep nesting, huge or infinite numbers, objects
    that JSON doesn't have."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"values lie more than {_MAX_DEPTH} deep in one another")
    if isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise ValueError(f"values are named by text, not {type(name).__name__}")
            require_plain(inner, depth + 1)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            require_plain(inner, depth + 1)
    elif isinstance(value, (int, float)):
        if not abs(value) <= sys.float_info.max:
            raise ValueError("a number is infinite, or none")
    elif not isinstance(value, str) and value is not None:
        raise ValueError(f"only text, numbers, lists and tables are plain values, not {type(value).__name__}")


def _require_jpeg(picture: bytes) -> None:
    if not picture.startswith(b"\xff\xd8"):
        raise ValueError("a picture in a report takes the raw bytes of a JPEG")


def _require_sorted_disjoint(intervals: tuple[Interval, ...] | list[Segment]) -> None:
    for before, after in itertools.pairwise(intervals):
        if after.start < before.end:
            raise ValueError(f"intervals overlap or are unsorted at {after.start}")


def _require_cover(track: Track, segments: list[Segment]) -> None:
    _require_sorted_disjoint(segments)
    merged: list[list[float]] = []
    for segment in segments:
        if merged and segment.start == merged[-1][1]:
            merged[-1][1] = segment.end
        else:
            merged.append([segment.start, segment.end])
    if merged != [[span.start, span.end] for span in track.spans]:
        raise ValueError(f"the segments of track {track.id} don't cover its visible time")
