"""Judging a still image: every face by the encoders alone."""

from __future__ import annotations

import torch
from torch import Tensor

from vidguard.config import AnalysisConfig
from vidguard.detector.judge import Judge
from vidguard.detector.record import observation, probability, thumbnail_jpeg
from vidguard.encoders import CROP
from vidguard.faces import FaceDetector, align_crops, measure_quality
from vidguard.types import Interval, Segment, Status, Thumbnail, Track
from vidguard.weights import Calibration


def judge_still(
    frames: list[Tensor], judge: Judge, calibration: Calibration, face_detector: FaceDetector, config: AnalysisConfig
) -> tuple[tuple[Track, ...], tuple[Segment, ...], tuple[Thumbnail, ...]]:
    """Judge every face of one still, the largest first.

    frames: the picture (1, 3, H, W) uint8 RGB alone, or nothing where it couldn't be decoded. A still has
    no duration; its faces carry the nominal stretch [0, segment_seconds).
    """
    if not frames:
        return (), (), ()
    found = face_detector.detect(frames[0])[0]
    boxes = found.boxes_xyxy_px[: config.faces.max_faces].cpu()
    landmarks = found.landmarks_px[: config.faces.max_faces].cpu()
    where = torch.zeros(len(boxes), dtype=torch.long)
    crops = align_crops(frames[0], where, landmarks, CROP)
    qualities = measure_quality(crops, boxes, landmarks)
    logits = judge.encode(crops).fake_logit.tolist()
    nominal = Interval(start=0.0, end=config.segment_seconds)
    tracks, segments, thumbnails = [], [], []
    for index, logit in enumerate(logits):
        fake_prob = probability(calibration.frame, logit)
        detection_prob = float(found.probs[index])
        seen = observation(0.0, boxes[index], landmarks[index], detection_prob, qualities[index], fake_prob)
        tracks.append(Track(id=index, spans=(nominal,), observations=(seen,), status=Status.OK, fake_prob=fake_prob))
        segments.append(
            Segment(start=nominal.start, end=nominal.end, track_id=index, fake_prob=fake_prob, num_frames=1)
        )
        thumbnails.append(Thumbnail(track_id=index, time=0.0, jpeg=thumbnail_jpeg(crops[index])))
    return tuple(tracks), tuple(segments), tuple(thumbnails[: config.max_thumbnails])
