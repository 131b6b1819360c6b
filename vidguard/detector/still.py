"""Judging a still image: every face by the encoders alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vidguard.calibration import DecisionRule
from vidguard.config import AnalysisConfig
from vidguard.detector.judge import Judge
from vidguard.detector.kinds import likeliest_kind
from vidguard.detector.record import can_be_judged, label, observation, probability, thumbnail_jpeg
from vidguard.encoders import CROP
from vidguard.faces import FaceDetector, align_crops, detect_turned, find_turn, measure_quality
from vidguard.types import Interval, Segment, Status, Thumbnail, Track
from vidguard.weights import Calibration


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
    calibration: Calibration,
    rule: DecisionRule | None,
    face_detector: FaceDetector,
    config: AnalysisConfig,
) -> StillAnswer:
    """Judge every face of one still, the largest first.

    frame: (1, 3, H, W) uint8 RGB; shown: the stretch of time that its faces carry. Each is one of as many chances to
    look suspicious by accident as there are faces that can be judged: see `video_logit`.
    """
    found, turn = face_detector.detect(frame)[0], 0
    if not len(found) and (turn := find_turn(face_detector, frame)):
        found = detect_turned(face_detector, frame, turn)[0]
    most = config.faces.max_faces
    boxes, landmarks = found.boxes_xyxy_px[:most].cpu(), found.landmarks_px[:most].cpu()
    crops = align_crops(frame, torch.zeros(len(boxes), dtype=torch.long), landmarks, CROP)
    qualities = measure_quality(crops, boxes, landmarks)
    features = judge.encode(crops)
    logits = features.fake_logit.tolist()
    kinds = [] if features.kind_logits is None else features.kind_logits.tolist()
    threshold = rule.frame.manipulated_from if rule else calibration.frame_threshold
    tracks, segments, thumbnails, judged = [], [], [], []
    for index, logit in enumerate(logits):
        fake_prob = None
        if can_be_judged(qualities[index], config):
            fake_prob = probability(calibration.frame, logit)
            judged.append(logit)
        status = Status.TOO_BLURRED if fake_prob is None else Status.OK
        detection_prob = float(found.probs[index])
        seen = observation(shown.start, boxes[index], landmarks[index], detection_prob, qualities[index], fake_prob)
        called = label(rule.frame if rule else None, fake_prob)
        flagged = fake_prob is not None and fake_prob >= threshold
        kind = likeliest_kind(judge.kind_names, kinds[index : index + 1], [1.0]) if flagged else None
        tracks.append(Track(index, (shown,), (seen,), status, fake_prob, called, kind))
        segments.append(Segment(shown.start, shown.end, index, fake_prob, int(fake_prob is not None), called))
        thumbnails.append(Thumbnail(track_id=index, time=shown.start, jpeg=thumbnail_jpeg(crops[index])))
    best = max((calibration.frame_genuine.best_of(logit, len(judged)) for logit in judged), default=None)
    return StillAnswer(
        tracks=tuple(tracks),
        segments=tuple(segments),
        thumbnails=tuple(thumbnails[: config.max_thumbnails]),
        turn=turn,
        fake_prob=None if best is None else probability(calibration.frame, best),
        num_faces_left_out=max(len(found) - most, 0),
    )
