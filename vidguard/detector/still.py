"""Judging a still image: every face by the encoders alone."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from vidguard.calibration import DecisionRule
from vidguard.config import AnalysisConfig
from vidguard.detector.judge import Judge
from vidguard.detector.kinds import likeliest_kind
from vidguard.detector.record import label, observation, probability, thumbnail_jpeg
from vidguard.encoders import CROP
from vidguard.faces import FaceDetector, align_crops, measure_quality
from vidguard.types import Interval, Quality, Segment, Status, Thumbnail, Track
from vidguard.weights import Calibration

_FACES_AT_ONCE: Final = 64  # 10 MB of crops, whatever the size of the crowd


def judge_still(
    frames: list[Tensor],
    judge: Judge,
    calibration: Calibration,
    rule: DecisionRule | None,
    face_detector: FaceDetector,
    config: AnalysisConfig,
) -> tuple[tuple[Track, ...], tuple[Segment, ...], tuple[Thumbnail, ...], float | None]:
    """Judge every face of one still, the largest first; the last of what is given is the still's probability.

    frames: the picture (1, 3, H, W) uint8 RGB alone, or nothing where it couldn't be decoded. A still has
    no duration; its faces carry the nominal stretch [0, segment_seconds). Each is one of as many chances to look
    suspicious by accident as there are faces: see `video_logit`.
    """
    if not frames:
        return (), (), (), None
    found = face_detector.detect(frames[0])[0]
    boxes = found.boxes_xyxy_px[: config.faces.max_faces].cpu()
    landmarks = found.landmarks_px[: config.faces.max_faces].cpu()
    qualities: list[Quality] = []
    logits: list[float] = []
    kinds: list[list[float]] = []
    jpegs: list[bytes] = []
    for some in torch.split(torch.arange(len(boxes)), _FACES_AT_ONCE):
        crops = align_crops(frames[0], torch.zeros_like(some), landmarks[some], CROP)
        qualities += measure_quality(crops, boxes[some], landmarks[some])
        features = judge.encode(crops)
        logits += features.fake_logit.tolist()
        kinds += [] if features.kind_logits is None else features.kind_logits.tolist()
        jpegs += [thumbnail_jpeg(crop) for crop in crops[: max(0, config.max_thumbnails - len(jpegs))]]
    threshold = rule.frame.manipulated_from if rule else calibration.frame_threshold
    nominal = Interval(start=0.0, end=config.segment_seconds)
    tracks, segments = [], []
    for index, logit in enumerate(logits):
        fake_prob = probability(calibration.frame, logit)
        detection_prob = float(found.probs[index])
        seen = observation(0.0, boxes[index], landmarks[index], detection_prob, qualities[index], fake_prob)
        called = label(rule.frame if rule else None, fake_prob)
        kind = likeliest_kind(judge.kind_names, kinds[index : index + 1], [1.0]) if fake_prob >= threshold else None
        tracks.append(Track(index, (nominal,), (seen,), Status.OK, fake_prob, called, kind))
        segments.append(Segment(nominal.start, nominal.end, index, fake_prob, 1, called))
    best = max((calibration.frame_genuine.best_of(logit, len(logits)) for logit in logits), default=None)
    whole = None if best is None else probability(calibration.frame, best)
    thumbnails = tuple(Thumbnail(track_id=index, time=0.0, jpeg=jpeg) for index, jpeg in enumerate(jpegs))
    return tuple(tracks), tuple(segments), thumbnails, whole
