"""Settings: frozen, checked at birth, each default with the reason for its value."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from vidguard.errors import InputError

VIDEO_SUFFIXES: Final = frozenset(
    (
        *(".3g2", ".3gp", ".amv", ".apng", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".h264", ".264"),
        *(".hevc", ".h265", ".265", ".ivf", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov"),
        *(".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".obu", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".ts"),
        *(".vob", ".webm", ".wmv", ".wtv", ".y4m"),
    )
)
STILL_SUFFIXES: Final = frozenset(
    (
        ".avif",
        ".bmp",
        ".heic",
        ".heif",
        ".hif",
        ".jfif",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".mpo",
        ".png",
        ".tif",
        ".tiff",
        ".webp",
    ),
)
"""What these files are mostly called, in lower case. What a file is, is told by its content."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


@dataclass(frozen=True)
class Limits:
    """What a source may ask of this machine.

    What its header tells of too much bytes, pixels, seconds or streams is a LimitError before decoding starts. Beyond
    the others the analysis ends with what it has by then, PARTIAL, and says so.
    """

    max_bytes: int = 8 * 1024**3
    max_pixels: int = 8192 * 4608
    """Per frame: 8K DCI and a little. A hostile header claiming more is refused before a buffer is allocated."""
    max_still_pixels: int = 2**27
    """Of a still picture, or a page of several: 134 million, more than phones of 108 megapixels take.

    What is larger than max_pixels is read smaller: JPEG is decoded so, others whole first, at up to 4 bytes a pixel."""
    max_seconds: float = 6 * 3600.0
    """A longer source is refused by its header, or cut (PARTIAL) where the header didn't tell."""
    max_streams: int = 64

    max_frames: int = 5_000_000
    """Decoded, looked at or not: six hours have 2.6 million at 120 a second."""
    max_tracks: int = 10_000
    """Of faces in a report; a film of two hours that cuts every three seconds between two people has half of it."""
    max_work_seconds: float = 24 * 3600.0
    """Time an analysis may take: on two cores the longest source that is allowed takes less."""
    max_stall_seconds: float = 60.0
    """A decoder in a sandbox that gives no frame for so long is ended; the slowest frames known take a few seconds."""
    max_decoder_bytes: int = 6 * 1024**3
    """Memory of a decoder in a sandbox: enough for 8K at 10 bits on sixteen threads, and a batch of it."""

    def __post_init__(self) -> None:
        """Refuse limits that allow nothing, and infinite ones, which JSON can't carry."""
        _require(all(math.isfinite(v) and v > 0 for v in asdict(self).values()), "limits must be positive and finite")

    def passed(self, *, num_frames: int, seconds: float, num_tracks: int = 0) -> str | None:
        """Say which limit the work on a source has passed, if any: frames decoded, time it took, faces followed."""
        for reached, name in ((num_frames, "max_frames"), (num_tracks, "max_tracks"), (seconds, "max_work_seconds")):
            if reached > getattr(self, name):
                return f"the analysis was ended after {name}={getattr(self, name):g}"
        return None


@dataclass(frozen=True)
class FaceConfig:
    """How faces are found and followed."""

    min_face_px: int = 40
    """Smallest face side looked for, in source pixels: below it the encoders see mostly interpolation."""
    max_detection_side_px: int = 1280
    """Frames are scaled down to this long side before P-Net looks; 4K gains nothing from more and costs 9x."""
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7)
    """P-, R-, O-Net score thresholds of the reference implementation."""
    pyramid_factor: float = 0.709
    """Scale step of the image pyramid, of the reference implementation (about 1/sqrt 2)."""
    detect_every: int = 8
    """P-Net looks at every n-th analysed frame and at least once a second; between, O-Net refines the prediction."""
    max_gap_seconds: float = 1.0
    """A face hidden for longer, and for more than 1.5 analysed frames, starts a new track."""
    max_faces: int = 256
    """Largest number of faces looked at in one frame. Of more the largest are, and the report is PARTIAL: bounds memory
    and time, a crowd of so many takes 2 to 3 s of a core a frame."""

    def __post_init__(self) -> None:
        """Refuse values the pyramid or tracker can't work with."""
        _require(self.min_face_px >= 12, "min_face_px must be at least 12 (P-Net's cell)")
        _require(0 < self.pyramid_factor < 1, "pyramid_factor must lie between 0 and 1")
        _require(all(0 < t < 1 for t in self.thresholds), "thresholds must lie between 0 and 1")
        _require(self.detect_every >= 1, "detect_every must be at least 1")
        _require(self.max_detection_side_px >= 12, "max_detection_side_px must be at least 12 (P-Net's cell)")
        _require(0 < self.max_gap_seconds < math.inf, "max_gap_seconds must be positive and finite")
        _require(self.max_faces >= 1, "max_faces must be at least 1")


@dataclass(frozen=True)
class CropGeometry:
    """How an aligned face crop is cut: see `vidguard.faces.template_landmarks`."""

    size: int
    """Side of the crop, pixels."""
    margin: float
    """Side of the crop in canonical face squares: eyes are 0.31 / margin of the crop's side apart."""
    down: float = 0.0
    """How far the crop's centre lies below the canonical square's, in sides of that square."""

    def __post_init__(self) -> None:
        """Refuse an empty crop."""
        _require(self.size >= 1 and 0 < self.margin < math.inf, "a crop's size and margin must be positive")
        _require(math.isfinite(self.down), "a crop's shift must be finite")


@dataclass(frozen=True)
class AnalysisConfig:
    """Everything an analysis depends on besides the weights."""

    frames_per_second: float = 8.0
    """Frames analysed per second of video; a lower native rate is used whole."""
    segment_seconds: float = 1.0
    """Length of the segments each track's visible time is cut into."""
    bridge_seconds: float = 0.3
    """A face missed for no longer than this counts as visible all along: detectors blink, heads don't vanish."""
    min_track_frames: int = 2
    """A video's face seen clearly in fewer looks isn't judged: it may be no face at all. A frame that stays on screen
    is looked at at every step of `frames_per_second`."""
    clear_detection_prob: float = 0.97
    """From which `detection_prob` on a sighting is a clear one. Hands and folds that MTCNN takes for faces, mostly for
    a moment, seldom reach it; faces that can be judged nearly all do (`benchmarks/accuracy/false_faces.py`)."""
    min_detail: float = 1.9
    """A face whose `Quality.detail` is less is too small or too blurred to tell a forged one by: that look at it isn't
    judged (`benchmarks/accuracy/blurred_faces.py`)."""
    error_rate: float | None = None
    """Decide so that at most this share of genuine videos is flagged, and of manipulated ones called genuine.

    One of the rates that the weights' validation promises; None: 0.05 where it does, else their own thresholds."""
    max_thumbnails: int = 600
    """Bounds the report; on longer material later segments come without a thumbnail."""
    limits: Limits = field(default_factory=Limits)
    faces: FaceConfig = field(default_factory=FaceConfig)

    def __post_init__(self) -> None:
        """Refuse values that leave nothing to analyse."""
        _require(0 < self.frames_per_second <= 1000, "frames_per_second must lie above 0 and at most at 1000")
        _require(0.01 <= self.segment_seconds < math.inf, "segment_seconds must be at least 0.01, and finite")
        _require(0 <= self.bridge_seconds < math.inf, "bridge_seconds must be finite and not negative")
        _require(self.min_track_frames >= 1, "min_track_frames must be at least 1")
        _require(0 <= self.clear_detection_prob < 1, "clear_detection_prob must be at least 0 and below 1")
        _require(0 <= self.min_detail < math.inf, "min_detail must be finite and not negative")
        _require(self.error_rate is None or 0 < self.error_rate < 1, "error_rate must lie between 0 and 1")
        _require(self.max_thumbnails >= 0, "max_thumbnails must not be negative")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the report, JSON-ready."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain
