"""Find faces, follow them through time, cut aligned crops and measure how well each can be seen."""

from __future__ import annotations

from vidguard.faces.align import align_crops, crop_faces, crop_transforms, template_landmarks
from vidguard.faces.detector import Detections, FaceDetector
from vidguard.faces.follower import FaceFollower, FollowedFace
from vidguard.faces.quality import measure_detail, measure_quality
from vidguard.faces.scene import LONGEST_BLEND
from vidguard.faces.turned import detect_turned, find_turn

__all__ = [
    "LONGEST_BLEND",
    "Detections",
    "FaceDetector",
    "FaceFollower",
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
