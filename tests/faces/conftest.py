"""Pictures with faces, made of what scikit-image's wheel carries: one astronaut and a hundred small portraits."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor

from vidguard.faces import FaceDetector


@cache
def portrait(person: int, px: int) -> Tensor:
    """A face of LFW's subset, (3, px, px) uint8, tinted a little as skin and light would."""
    grey = torch.from_numpy(data.lfw_subset()[person]).float()[None, None] * 255
    large = F.interpolate(grey, size=[px, px], mode="bicubic", align_corners=False)[0]
    tint = torch.tensor([1.0, 0.9, 0.85]) - 0.1 * torch.tensor([0.0, person % 2, person % 3])
    return (large * tint[:, None, None]).clamp(0, 255).round().to(torch.uint8)


def paste(canvas: Tensor, picture: Tensor, x: int, y: int) -> None:
    """Put a picture on a canvas (3, H, W) at its upper left corner, cut at the canvas's border."""
    height, width = canvas.shape[1:]
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + picture.shape[2], width), min(y + picture.shape[1], height)
    if x1 > x0 and y1 > y0:
        canvas[:, y0:y1, x0:x1] = picture[:, y0 - y : y1 - y, x0 - x : x1 - x]


def room(width: int, height: int) -> Tensor:
    """A faceless background (3, height, width) uint8: a blurred cup of coffee."""
    coffee = torch.from_numpy(data.coffee()).permute(2, 0, 1)[None].float()
    small = F.interpolate(coffee, size=[30, 40], mode="area")
    return F.interpolate(small, size=[height, width], mode="bilinear")[0].round().to(torch.uint8)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    # The networks are too small to gain from a second thread, and on a busy machine threads that wait for each other
    # make them ten times slower.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def detector() -> FaceDetector:
    return FaceDetector()


@pytest.fixture(scope="session")
def group_photos() -> Tensor:
    """Three different pictures (3, 3, 540, 800) uint8 with several faces of several sizes, some cut by the border."""
    astronaut = torch.from_numpy(data.astronaut()).permute(2, 0, 1)
    half = F.interpolate(astronaut[None].float(), scale_factor=0.5, mode="area")[0].to(torch.uint8)
    photos = [room(800, 540) for _ in range(3)]
    paste(photos[0], astronaut, 20, 20)
    paste(photos[0], half.flip(2), 540, 30)
    paste(photos[0], portrait(3, 70), 560, 380)
    paste(photos[0], portrait(10, 110), 670, 330)
    for k, (x, y, px) in enumerate([(30, 40, 150), (230, 60, 60), (330, 50, 220), (600, 200, 300), (-50, 330, 200)]):
        paste(photos[1], portrait(20 + k, px), x, y)
    paste(photos[2], astronaut.flip(2), 250, -60)
    paste(photos[2], half, -90, 200)
    return torch.stack(photos)
