"""Quality: order and units rather than exact figures."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from vidguard.config import CropGeometry
from vidguard.errors import InputError
from vidguard.faces import FaceDetector, align_crops, measure_detail, measure_quality, template_landmarks
from vidguard.types import Quality

BOX = torch.tensor([[10.0, 20.0, 90.0, 70.0]])


def _measure(picture: np.ndarray, detector: FaceDetector) -> Quality:
    frames = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None]
    faces = detector.detect(frames)[0]
    boxes, landmarks = faces.boxes_xyxy_px[:1], faces.landmarks_px[:1]
    crops = align_crops(frames, torch.zeros(1, dtype=torch.long), landmarks, CropGeometry(160, 1.3))
    return measure_quality(crops, boxes, landmarks)[0]


def test_blur_lowers_sharpness(detector: FaceDetector) -> None:
    astronaut = data.astronaut()
    values = [
        _measure(cv2.GaussianBlur(astronaut, (0, 0), s) if s else astronaut, detector).sharpness for s in (0, 1, 2, 4)
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] > 2 * values[2]


def test_sharpness_is_comparable_between_crop_sizes() -> None:
    frames = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].contiguous()
    landmarks = (template_landmarks(CropGeometry(100, 1.3)) * 1.5 + torch.tensor([150.0, 50.0]))[None]
    values = []
    for size in (128, 192, 256):
        crops = align_crops(frames, torch.tensor([0]), landmarks, CropGeometry(size, 1.3))
        values.append(measure_quality(crops, BOX, landmarks)[0].sharpness)
    assert max(values) < 1.25 * min(values)


def test_sharpness_by_hand() -> None:
    checks = torch.zeros(1, 3, 128, 128, dtype=torch.uint8)
    checks[..., ::2, ::2] = checks[..., 1::2, 1::2] = 200
    flat = torch.full_like(checks, 90)
    landmarks = template_landmarks(CropGeometry(128, 1.3))[None].repeat(2, 1, 1)
    sharp, dull = measure_quality(torch.cat([checks, flat]), BOX.repeat(2, 1), landmarks)
    assert sharp.sharpness == pytest.approx(800, rel=1e-3)  # the Laplacian is +-4 * 200
    assert dull.sharpness == pytest.approx(0, abs=1e-3)
    assert sharp.face_px == pytest.approx(math.sqrt(80 * 50))


def _pose(landmarks: Tensor) -> Quality:
    return measure_quality(torch.zeros(1, 3, 64, 64, dtype=torch.uint8), BOX, landmarks[None])[0]


def test_pose_of_known_landmarks() -> None:
    frontal = template_landmarks(CropGeometry(100, 1.0))
    assert abs(_pose(frontal).yaw_degrees) < 2
    assert abs(_pose(frontal).roll_degrees) < 1
    angle = math.radians(25)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    tilted = _pose(frontal @ turn.T)
    assert tilted.roll_degrees == pytest.approx(25, abs=1)  # y points down, so this is clockwise as seen
    assert abs(tilted.yaw_degrees) < 2
    turned = frontal.clone()
    turned[2, 0] += 0.3 * (frontal[1, 0] - frontal[0, 0])
    assert _pose(turned).yaw_degrees == pytest.approx(30, abs=2)
    turned[2, 0] += 500
    assert _pose(turned).yaw_degrees == 90


def test_mirroring_turns_the_pose_around(detector: FaceDetector) -> None:
    astronaut = data.astronaut()
    left, right = _measure(astronaut, detector), _measure(astronaut[:, ::-1], detector)
    assert left.yaw_degrees == pytest.approx(-right.yaw_degrees, abs=8)
    assert left.roll_degrees == pytest.approx(-right.roll_degrees, abs=4)


def test_none_and_mismatch() -> None:
    none = torch.zeros(0, 3, 64, 64, dtype=torch.uint8)
    assert measure_quality(none, torch.zeros(0, 4), torch.zeros(0, 5, 2)) == []
    with pytest.raises(InputError, match="1 boxes"):
        measure_quality(none, BOX, torch.zeros(0, 5, 2))


@pytest.mark.parametrize("angle", [0, 30, 90, 135])
def test_a_smear_in_any_direction_takes_the_detail_away(astronaut_crop: np.ndarray, angle: float) -> None:
    sharp = _detail(astronaut_crop)
    kernel = np.zeros((61, 61), np.float32)
    dx, dy = 28 * math.cos(math.radians(angle)), 28 * math.sin(math.radians(angle))
    cv2.line(kernel, (round(30 - dx), round(30 - dy)), (round(30 + dx), round(30 + dy)), 1.0)
    assert _detail(cv2.filter2D(astronaut_crop, -1, kernel / kernel.sum())) < 1.9 < 2.6 < sharp


def test_detail_does_not_depend_on_contrast_and_survives_noise(astronaut_crop: np.ndarray) -> None:
    sharp = _detail(astronaut_crop)
    pale = (astronaut_crop * 0.3 + 90).round().astype(np.uint8)
    assert _detail(pale) == pytest.approx(sharp, rel=0.05)
    blurred = cv2.GaussianBlur(astronaut_crop, (0, 0), 14)
    noisy = blurred + np.random.default_rng(0).normal(0, 2, blurred.shape)
    assert _detail(np.clip(noisy, 0, 255).astype(np.uint8)) < 1.9
    assert _detail(np.full_like(astronaut_crop, 90)) < 1.9


def _detail(crop: np.ndarray) -> float:
    return measure_detail(torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1)[None])[0]


@pytest.fixture
def astronaut_crop() -> np.ndarray:
    """Brow to chin, 224 px."""
    return np.asarray(cv2.resize(data.astronaut()[60:170, 170:280], (224, 224)))
