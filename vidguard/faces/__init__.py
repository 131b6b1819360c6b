"""Find faces, follow them through time, cut aligned crops and measure how well each can be seen."""

from __future__ import annotations

from vidguard.faces.align import align_crops, crop_faces, crop_transforms, template_landmarks
from vidguard.faces.blends import BlendFilter
from vidguard.faces.detector import Detections, FaceDetector
from vidguard.faces.follower import FaceFollower, FollowedFace
from vidguard.faces.quality import measure_detail, measure_quality
from vidguard.faces.turned import FewTurnedLooks, detect_turned, find_turn

__all__ = [
    "BlendFilter",
    "Detections",
    "FaceDetector",
    "FaceFollower",
    "FewTurnedLooks",
    "FollowedFace",
    "align_crops",
    "crop_faces",
    "crop_transforms",
    "detect_turned",
    "find_turn",
    "measure_detail",
    "measure_quality",
    "template_landmarks",
]
