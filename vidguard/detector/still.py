"""Judging a still image: every face by the encoders alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from vidguard.config import AnalysisConfig
from vidguard.detector.judge import Judge
from vidguard.detector.record import can_be_judged, observation, thumbnail_jpeg
from vidguard.encoders import CROP
from vidguard.faces import FaceDetector, crop_faces, detect_turned, find_turn, measure_quality
from vidguard.scoring import Scoring
from vidguard.scoring.kinds import likeliest_kind
from vidguard.types import Interval, Quality, Segment, Status, Thumbnail, Track

_FACES_AT_ONCE: Final = 64  # 10 MB of crops, whatever the size of the crowd


@dataclass(frozen=True)
class StillAnswer:
    """Every face of one still; fake_prob is the still's."""

    tracks: tuple[Track, ...] = ()
    segments: tuple[Segment, ...] = ()
    thumbnails: tuple[Thumbnail, ...] = ()
    fake_prob: float | None = None
    turn: int = 0
    """By how many quarters, counterclockwise, it was turned to find a face, as none was found in it as it is."""
    num_faces_left_out: int = 0
    """Found, but not looked at, being more than `FaceConfig.max_faces`."""


def judge_still(
    frame: Tensor,
    shown: Interval,
    judge: Judge,
    scoring: Scoring,
    face_detector: FaceDetector,
    config: AnalysisConfig,
) -> StillAnswer:
    """Judge every face of one still, the largest first.

    frame: (1, 3, H, W) uint8 RGB; shown: the stretch of time that its faces carry. Each is one of as many chances to
    look suspicious by accident as there are faces that can be judged: see `video_logit`.
    """
    found, turn = face_detector.detect(frame)[0], 0
    if not len(found) and (turn := find_turn(face_detector, frame, found)):
        found = detect_turned(face_detector, frame, turn)[0]
    most = config.faces.max_faces
    boxes, landmarks = found.boxes_xyxy_px[:most].cpu(), found.landmarks_px[:most].cpu()
    qualities: list[Quality] = []
    logits: list[float] = []
    kinds: list[list[float]] = []
    jpegs: list[bytes] = []
    for some in torch.split(torch.arange(len(boxes)), _FACES_AT_ONCE):
        crops = crop_faces(frame[0], landmarks[some], CROP)
        qualities += measure_quality(crops, boxes[some], landmarks[some])
        features = judge.encode(crops)
        logits += features.fake_logit.tolist()
        kinds += [] if features.kind_logits is None else features.kind_logits.tolist()
        jpegs += [thumbnail_jpeg(crop) for crop in crops[: max(0, config.max_thumbnails - len(jpegs))]]
    level = scoring.frame
    tracks, segments, judged = [], [], []
    for index, logit in enumerate(logits):
        fake_prob = None
        if can_be_judged(qualities[index].detail, config):
            fake_prob = level.probability(logit)
            judged.append(logit)
        status = Status.TOO_BLURRED if fake_prob is None else Status.OK
        detection_prob = float(found.probs[index])
        seen = observation(shown.start, boxes[index], landmarks[index], detection_prob, qualities[index], fake_prob)
        called = level.label(fake_prob)
        rows = kinds[index : index + 1] if level.is_flagged(fake_prob) else []
        kind = likeliest_kind(judge.kind_names, rows, [1.0])
        tracks.append(Track(index, (shown,), (seen,), status, fake_prob, called, kind))
        segments.append(Segment(shown.start, shown.end, index, fake_prob, int(fake_prob is not None), called))
    best = max((level.genuine.best_of(logit, len(judged)) for logit in judged), default=None)
    return StillAnswer(
        tracks=tuple(tracks),
        segments=tuple(segments),
        thumbnails=tuple(Thumbnail(track_id=k, time=shown.start, jpeg=jpeg) for k, jpeg in enumerate(jpegs)),
        turn=turn,
        fake_prob=None if best is None else level.probability(best),
        num_faces_left_out=max(len(found) - most, 0),
    )
