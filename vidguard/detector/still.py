"""Judging a still image: every face by the encoders alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vidguard.calibration import DecisionRule
from vidguard.config import AnalysisConfig
from vidguard.detector.judge import Judge
from vidguard.detector.kinds import likeliest_kind
from vidguard.detector.record import label, observation, probability, thumbnail_jpeg
from vidguard.encoders import CROP
from vidguard.faces import FaceDetector, align_crops, measure_quality
from vidguard.types import Interval, Segment, Status, Thumbnail, Track
from vidguard.weights import Calibration


@dataclass(frozen=True)
class StillAnswer:
    """Every face of one still; fake_prob is the still's."""

    tracks: tuple[Track, ...] = ()
    segments: tuple[Segment, ...] = ()
    thumbnails: tuple[Thumbnail, ...] = ()
    fake_prob: float | None = None


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
    look suspicious by accident as there are faces: see `video_logit`.
    """
    found = face_detector.detect(frame)[0]
    boxes = found.boxes_xyxy_px[: config.faces.max_faces].cpu()
    landmarks = found.landmarks_px[: config.faces.max_faces].cpu()
    where = torch.zeros(len(boxes), dtype=torch.long)
    crops = align_crops(frame, where, landmarks, CROP)
    qualities = measure_quality(crops, boxes, landmarks)
    features = judge.encode(crops)
    logits = features.fake_logit.tolist()
    kinds = [] if features.kind_logits is None else features.kind_logits.tolist()
    threshold = rule.frame.manipulated_from if rule else calibration.frame_threshold
    tracks, segments, thumbnails = [], [], []
    for index, logit in enumerate(logits):
        fake_prob = probability(calibration.frame, logit)
        detection_prob = float(found.probs[index])
        seen = observation(shown.start, boxes[index], landmarks[index], detection_prob, qualities[index], fake_prob)
        called = label(rule.frame if rule else None, fake_prob)
        kind = likeliest_kind(judge.kind_names, kinds[index : index + 1], [1.0]) if fake_prob >= threshold else None
        tracks.append(Track(index, (shown,), (seen,), Status.OK, fake_prob, called, kind))
        segments.append(Segment(shown.start, shown.end, index, fake_prob, 1, called))
        thumbnails.append(Thumbnail(track_id=index, time=shown.start, jpeg=thumbnail_jpeg(crops[index])))
    best = max((calibration.frame_genuine.best_of(logit, len(logits)) for logit in logits), default=None)
    whole = None if best is None else probability(calibration.frame, best)
    return StillAnswer(tuple(tracks), tuple(segments), tuple(thumbnails[: config.max_thumbnails]), whole)
