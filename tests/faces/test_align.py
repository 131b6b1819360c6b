"""Aligned crops: against OpenCV, against closed forms, and at the edges of the frame."""

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
from vidguard.faces import align_crops, crop_transforms, template_landmarks

SIZE = 96
CROP = CropGeometry(SIZE, 1.3, 0.1)


def _astronaut() -> Tensor:
    return torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].contiguous()


def _place(scale: float, degrees: float, x: float, y: float) -> Tensor:
    """Template landmarks turned, scaled and moved: (1, 5, 2) frame pixels."""
    turn = math.radians(degrees)
    rotation = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    local = template_landmarks(CROP) - SIZE / 2
    return (local @ rotation.T * scale + torch.tensor([x, y]))[None]


@pytest.mark.parametrize(("scale", "degrees"), [(1.0, 0.0), (0.6, 35.0), (3.2, -80.0), (1.7, 179.0)])
def test_transform_undoes_any_similarity(scale: float, degrees: float) -> None:
    landmarks = _place(scale, degrees, 700.0, 420.0)
    matrix = crop_transforms(landmarks, CROP)[0]
    mapped = landmarks[0] @ matrix[:, :2].T + matrix[:, 2]
    assert torch.allclose(mapped, template_landmarks(CROP), atol=2e-3)


def test_transform_is_the_least_squares_similarity() -> None:
    generator = torch.Generator().manual_seed(0)
    landmarks = _place(1.5, 20.0, 300.0, 200.0) + 6 * torch.randn(1, 5, 2, generator=generator)
    matrix = crop_transforms(landmarks, CROP)[0].double().numpy()
    x, y = landmarks[0].double().numpy().T
    zero, one = np.zeros(5), np.ones(5)
    system = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    target = template_landmarks(CROP).double().numpy().T.reshape(-1)
    a, b, tx, ty = np.linalg.lstsq(system, target, rcond=None)[0]
    np.testing.assert_allclose(matrix, [[a, -b, tx], [b, a, ty]], atol=2e-4)


def test_template_matches_arcface_at_112() -> None:
    template = template_landmarks(CropGeometry(112, 1.0))
    assert torch.allclose(template[0], torch.tensor([38.2946, 51.6963]), atol=1e-3)
    wide = template_landmarks(CropGeometry(112, 2.0))
    assert torch.allclose(wide - 55.5, (template - 55.5) / 2, atol=1e-3)
    lower = template_landmarks(CropGeometry(112, 1.0, down=0.25))
    assert torch.allclose(lower, template - torch.tensor([0.0, 28.0]), atol=1e-3)


def test_crop_equals_opencv_when_enlarging() -> None:
    frames, landmarks = _astronaut(), _place(0.7, 12.0, 225.0, 120.0)
    crop = align_crops(frames, torch.tensor([0]), landmarks, CROP)[0]
    matrix = crop_transforms(landmarks, CROP)[0].numpy()
    image = data.astronaut().astype(np.float32)
    expected = cv2.warpAffine(image, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    difference = np.abs(crop.permute(1, 2, 0).numpy().astype(float) - expected)
    assert difference.max() < 4  # OpenCV rounds positions to 1/32 pixel
    assert difference.mean() < 0.6


def test_downscaling_averages_instead_of_aliasing() -> None:
    stripes = (torch.arange(1200) % 2 * 255).to(torch.uint8).expand(1, 3, 1200, 1200).contiguous()
    crop = align_crops(stripes, torch.tensor([0]), _place(7.0, 3.0, 600.0, 600.0), CROP)
    assert crop.float().sub(127.5).abs().max() < 26  # plain bilinear sampling swings over the whole range here


def test_outside_the_frame_the_border_is_repeated() -> None:
    frames = torch.zeros(1, 3, 60, 80, dtype=torch.uint8)
    frames[..., 0] = 200
    crop = align_crops(frames, torch.tensor([0]), _place(1.0, 0.0, -500.0, 30.0), CROP)
    assert (crop == 200).all()
    half = align_crops(frames, torch.tensor([0]), _place(1.0, 0.0, 0.0, 30.0), CROP)
    assert (half[..., :40] == 200).all()
    assert (half[..., 60:] == 0).all()


def test_batch_composition_does_not_matter() -> None:
    frames = torch.cat([_astronaut(), _astronaut().flip(-1)])
    landmarks = torch.cat(
        [_place(0.9, 5.0, 225.0, 120.0), _place(2.2, -30.0, 280.0, 130.0), _place(3.0, 0.0, 500.0, 500.0)]
    )
    index = torch.tensor([0, 1, 0])
    together = align_crops(frames, index, landmarks, CROP)
    for k in range(3):
        alone = align_crops(frames, index[k : k + 1], landmarks[k : k + 1], CROP)
        assert torch.equal(together[k : k + 1], alone)


def test_no_faces_give_no_crops() -> None:
    empty = align_crops(_astronaut(), torch.zeros(0, dtype=torch.long), torch.zeros(0, 5, 2), CROP)
    assert empty.shape == (0, 3, SIZE, SIZE)
    assert empty.dtype == torch.uint8
    assert crop_transforms(torch.zeros(0, 5, 2), CROP).shape == (0, 2, 3)


def test_bad_input_is_refused() -> None:
    index = torch.tensor([0])
    with pytest.raises(InputError, match="finite"):
        align_crops(_astronaut(), index, torch.full((1, 5, 2), torch.nan), CROP)
    with pytest.raises(InputError, match="coincide"):
        align_crops(_astronaut(), index, torch.full((1, 5, 2), 9.0), CROP)
    with pytest.raises(InputError, match="uint8"):
        align_crops(_astronaut().float(), index, _place(1, 0, 9, 9), CROP)
    with pytest.raises(InputError, match="5, 2"):
        crop_transforms(torch.zeros(1, 4, 2), CROP)
    with pytest.raises(InputError, match="positive"):
        template_landmarks(CropGeometry(SIZE, 0.0))
