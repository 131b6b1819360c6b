"""The look that every upload can be given: a few key frames, one encoder, and an answer that is no verdict.

What is cleared needs no analysis, at a rate of misses that was measured; everything else does. A file that is
damaged, shows too little or lies on its side is never cleared.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from enum import Enum
from time import perf_counter
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from torch import Tensor

from vidguard.config import Limits
from vidguard.detector.judge import Judge
from vidguard.encoders import CROP
from vidguard.errors import ReportFormatError, WeightsError
from vidguard.faces import FaceDetector, FewTurnedLooks, crop_faces, measure_detail
from vidguard.text import printable_json
from vidguard.types import BoxXyxyPx, FrameBatch, SourceInfo, WeightsInfo
from vidguard.video import VideoReader
from vidguard.weights import Passport, TriagePoint

MIN_KEY_FRAMES: Final = 3
"""A video with fewer shows too little of itself to be cleared: a forged stretch may lie between two."""
# Faces are looked for at half the pipeline's size, a third of its time; they are cut out of the whole picture.
_MAX_DETECTION_SIDE_PX: Final = 640
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


class Outcome(str, Enum):
    """What is to become of an upload."""

    CLEARED = "cleared"
    """Every face in the key frames lies below the threshold: no analysis is needed."""
    CHECK = "check"
    """To be analysed."""
    NO_FACE = "no_face"
    """No key frame shows a face: nothing was judged, so nothing is known to be genuine."""


@dataclass(frozen=True, config=_STRICT)
class TriageFace:
    """One face in one key frame. logit: the encoder's own, not calibrated; higher is more suspicious."""

    time: float
    box_xyxy_px: BoxXyxyPx
    """Pixels of the key frame as it was looked at: at most 1920 px long."""
    logit: float


@dataclass(frozen=True, config=_STRICT)
class Triage:
    """The answer about one source. Serialises to JSON that round-trips."""

    outcome: Outcome
    why: str
    """One sentence."""
    score: float | None
    """The most suspicious face's logit; None without a face."""
    threshold: float
    """Cleared is what lies below it."""
    misses: Annotated[float, Field(gt=0.0, lt=1.0)]
    """Share of fakes that were cleared at this threshold on the material it was chosen on."""
    of: Literal["fakes", "found"]
    """Whether of all fakes, or of those that the whole analysis would flag."""
    encoder: str | None
    """The one that judged; None: all of the weights' encoders, fused."""
    times: tuple[float, ...]
    """Of the key frames that were looked at, seconds."""
    faces: tuple[TriageFace, ...]
    source: SourceInfo
    weights: str
    weights_sha256: str
    notes: tuple[str, ...] = ()
    schema_version: Literal[1] = 1

    def __post_init__(self) -> None:
        """Refuse an outcome that the faces contradict."""
        highest = max((face.logit for face in self.faces), default=None)
        if self.score != highest:
            raise ValueError(f"the score is {self.score}, but the most suspicious face has {highest}")
        if self.outcome is Outcome.CLEARED and not (highest is not None and highest < self.threshold):
            raise ValueError(f"cleared with a score of {highest}; needed is one below {self.threshold}")
        if self.outcome is Outcome.NO_FACE and self.faces:
            raise ValueError(f"no_face with {len(self.faces)} faces")

    def to_json(self, *, indent: int | None = 2) -> str:
        """Serialise; `from_json` gives an equal answer back."""
        return printable_json(TypeAdapter(Triage).dump_json(self, indent=indent).decode())

    @staticmethod
    def from_json(text: str | bytes) -> Triage:
        """Read what `to_json` wrote. Raises ReportFormatError on anything else."""
        try:
            return TypeAdapter(Triage).validate_json(text)
        except ValidationError as error:
            raise ReportFormatError(f"not the JSON of a triage: {error.errors()[0]['msg']}") from error


def choose_point(passport: Passport, misses: float, of: str) -> tuple[TriagePoint, int]:
    """The operating point of a weight set for a share of misses, and the most key frames to look at for it.

    Raises WeightsError with the known ones.
    """
    plan = passport.triage
    if plan is None:
        raise WeightsError(
            f"{passport.name} has no operating point for triage; fit one with benchmarks/accuracy/triage.py --write, "
            "or use other weights"
        )
    for point in plan.points:
        if (point.misses, point.of) == (misses, of):
            return point, plan.max_frames
    known = ", ".join(f"{point.misses:g} of {point.of}" for point in plan.points)
    raise WeightsError(f"{passport.name} has no operating point for {misses:g} of {of}; it has {known}")


def look(
    reader: VideoReader, detector: FaceDetector, turned: FewTurnedLooks | None = None
) -> Iterator[tuple[FrameBatch, list[BoxXyxyPx], Tensor]]:
    """Each frame that the reader gives, with its faces' boxes and crops (K, 3, S, S) uint8, the largest first.

    turned: shown each frame as well.
    """
    for batch in reader.batches(batch_size=1):
        found = detector.detect(batch.frames)[0]
        if turned is not None:
            turned.push(batch.frames, found)
        crops = crop_faces(batch.frames[0], found.landmarks_px.cpu(), CROP)
        x0, y0, x1, y1 = found.boxes_xyxy_px.cpu().T.tolist() if len(found) else ([], [], [], [])
        yield batch, list(zip(x0, y0, x1, y1)), crops


def quick_detector(detector: FaceDetector) -> FaceDetector:
    """A detector with the same networks that looks at pictures of triage's size."""
    quick = copy(detector)
    side = min(detector.config.max_detection_side_px, _MAX_DETECTION_SIDE_PX)
    quick.config = replace(detector.config, max_detection_side_px=side)
    return quick


def judge_crops(judge: Judge, crops: Tensor, encoder: str | None) -> list[float]:
    """Logits of crops (K, 3, H, W) uint8 by one of the judge's encoders, or by all fused. Raises WeightsError."""
    if encoder is not None and encoder not in judge.names:
        raise WeightsError(f"triage asks for the encoder {encoder}, these weights have {', '.join(judge.names)}")
    found = judge.encode(crops) if encoder is None else judge.encode_by(encoder, crops)
    return [float(logit) for logit in found.fake_logit]


def decide(
    score: float | None,
    threshold: float,
    *,
    num_frames: int,
    is_still: bool,
    damaged: bool,
    blurred: bool = False,
    lies: bool = False,
) -> Outcome:
    """The rule. Only a sound file with enough to look at, whose every face lies below the threshold, is cleared.

    blurred: every face is too small or too blurred to tell a forged one by; lies: a face was found only in a turned
    picture, which the analysis is to look at.
    """
    if damaged or lies or num_frames == 0:
        return Outcome.CHECK
    if score is None:
        return Outcome.NO_FACE
    enough = is_still or num_frames >= MIN_KEY_FRAMES
    return Outcome.CLEARED if enough and not blurred and score < threshold else Outcome.CHECK


def examine(
    reader: VideoReader,
    judge: Judge,
    detector: FaceDetector,
    point: TriagePoint,
    limits: Limits,
    *,
    weights: WeightsInfo,
    min_detail: float,
) -> Triage:
    """Look at a source's key frames, judge every face in them, and decide by the point.

    min_detail: `AnalysisConfig.min_detail`; by faces of less alone nothing is cleared. Nor by a look
    that a limit ended.
    """
    began = perf_counter()
    cut: str | None = None
    times: list[float] = []
    details: list[float] = []
    faces: list[TriageFace] = []
    turned = FewTurnedLooks(detector)
    for batch, boxes, crops in look(reader, detector, turned):
        if cut is not None:
            break
        times += batch.pts_seconds
        logits = judge_crops(judge, crops, point.encoder)
        details += measure_detail(crops)
        faces += [TriageFace(batch.pts_seconds[0], box, logit) for box, logit in zip(boxes, logits)]
        cut = limits.passed(num_frames=reader.num_frames_decoded, seconds=perf_counter() - began)
    else:
        cut = None  # there was no more to look at
    troubles = (*reader.troubles, *(() if cut is None else (cut,)))
    score = max((face.logit for face in faces), default=None)
    is_still, damaged = reader.info.kind == "image", bool(troubles)
    blurred = all(detail < min_detail for detail in details)
    outcome = decide(
        score,
        point.threshold,
        num_frames=len(times),
        is_still=is_still,
        damaged=damaged,
        blurred=blurred,
        lies=turned.lies,
    )
    return Triage(
        outcome=outcome,
        why=_why(outcome, score, point.threshold, len(times), len(faces), troubles, blurred, turned.lies),
        score=score,
        threshold=point.threshold,
        misses=point.misses,
        of=point.of,
        encoder=point.encoder,
        times=tuple(times),
        faces=tuple(faces),
        source=reader.info,
        weights=weights.name,
        weights_sha256=weights.sha256,
        notes=(*reader.notes, *(() if cut is None else (cut,))),
    )


def _why(
    outcome: Outcome,
    score: float | None,
    threshold: float,
    frames: int,
    faces: int,
    troubles: tuple[str, ...],
    blurred: bool,
    lies: bool,
) -> str:
    if outcome is Outcome.NO_FACE:
        return f"no face in {frames} frame(s)"
    if outcome is Outcome.CLEARED:
        return f"{faces} face(s) in {frames} frame(s), all below the threshold"
    if troubles:
        return f"the source is damaged, was cut or hides a part: {troubles[0]}"
    if frames == 0:
        return "no key frame can be shown by itself: nothing to clear a video by"
    if lies:
        return "a face was found only in a turned picture: it lies on its side or is upside down, undeclared"
    if score is not None and score >= threshold:
        return f"a face reaches the threshold ({score:.2f}, {threshold:.2f})"
    if blurred:
        return f"{faces} face(s) in {frames} frame(s), all too small or too blurred to clear anything by"
    return f"only {frames} key frame(s), fewer than {MIN_KEY_FRAMES}: too little to clear a video by"
