"""How well a face can be seen: size, sharpness and pose."""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from vidguard.errors import InputError
from vidguard.types import Quality

# Sharpness is compared at one size, whatever size the encoders' crops have.
_SHARPNESS_SIDE: Final = 128
_LUMA: Final = (0.299, 0.587, 0.114)
# Detail compares gradients at these two scales, in px of a crop of this side: 2 and 6 px of 128.
_DETAIL_SIDE: Final = 64
_FINE_PX, _COARSE_PX = 1.0, 3.0
# Gradients of flat crops, in grey levels a pixel, are noise.
_FLAT: Final = 1e-3
_LAPLACIAN: Final = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


def measure_quality(crops: Tensor, boxes_xyxy_px: Tensor, landmarks_px: Tensor) -> list[Quality]:
    """Measure K faces.

    crops: (K, 3, S, S) uint8 RGB aligned crops; boxes_xyxy_px: (K, 4) and landmarks_px: (K, 5, 2) of the same faces in
    source pixels. Sharpness is the standard deviation of the Laplacian of the grey crop at 128 px, 0 to about 1,000; it
    depends on the crops' margin, on contrast and on noise. Detail depends little on the last two: see `_detail`. Raises
    InputError when the counts differ.

    Yaw and roll are rough, from the landmarks alone. With the eyes' centre E, eye distance d along the (rolled) eye
    axis and the nose tip n along the same axis, yaw = asin((n - E) / 0.6 d), clipped to 90: the tip stands about 0.6
    eye distances before the eyes' plane and swings out by the sine. Positive yaw turns the nose to the right of the
    picture, positive roll turns the head clockwise in it.
    """
    if not len(crops) == len(boxes_xyxy_px) == len(landmarks_px):
        raise InputError(f"{len(crops)} crops, {len(boxes_xyxy_px)} boxes and {len(landmarks_px)} sets of landmarks")
    if not len(crops):
        return []
    boxes, points = boxes_xyxy_px.float().cpu(), landmarks_px.float().cpu()
    face_px = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1).sqrt()
    yaw, roll = _pose(points)
    grey = _grey(crops)
    columns = (face_px, _sharpness(grey).cpu(), yaw, roll, _detail(grey).cpu())
    return [Quality(*values) for values in torch.stack(columns, 1).tolist()]


def measure_detail(crops: Tensor) -> list[float]:
    """`Quality.detail` of aligned crops (K, 3, S, S) uint8 RGB; see `measure_quality`."""
    found: list[float] = _detail(_grey(crops)).tolist() if len(crops) else []
    return found


def _grey(crops: Tensor) -> Tensor:
    red, green, blue = (crops[:, channel : channel + 1] * weight for channel, weight in enumerate(_LUMA))
    return red + green + blue


def _sharpness(grey: Tensor) -> Tensor:
    kernel = torch.tensor(_LAPLACIAN, device=grey.device)[None, None]
    return F.conv2d(_resize(grey, _SHARPNESS_SIDE), kernel).flatten(1).std(1)


def _detail(grey: Tensor) -> Tensor:
    """How much finer than a blur (K,) the structure of crops (K, 1, S, S) is, in the direction where it is least so.

    With the structure tensors J (mean of g g^T over the crop; Forstner & Gulch 1987) of its gradients g at a fine and a
    coarse scale, the least of (u^T J_fine u) / (u^T J_coarse u) over directions u: their smallest generalised
    eigenvalue. A blur, also one of motion, which has a direction, takes the fine gradients along it away; contrast
    cancels out. 1.1 of a smear to 6 of a sharp face.
    """
    small = _resize(grey, _DETAIL_SIDE)
    a, b, c = _structure(small, _FINE_PX)
    d, e, f = _structure(small, _COARSE_PX)
    d, f = d + _FLAT, f + _FLAT
    volume = d * f - e * e
    half_trace, determinant = (a * f - 2 * b * e + c * d) / volume / 2, (a * c - b * b) / volume
    return half_trace - (half_trace.square() - determinant).clamp(min=0).sqrt()


def _structure(grey: Tensor, sigma: float) -> tuple[Tensor, Tensor, Tensor]:
    """Mean of gx gx, gx gy and gy gy (K,) of Gaussian derivatives; levels a pixel, squared."""
    radius = math.ceil(3 * sigma)
    x = torch.arange(-radius, radius + 1, device=grey.device, dtype=torch.float32)
    smooth = torch.exp(-x.square() / (2 * sigma**2))
    smooth = smooth / smooth.sum()
    slope = x / sigma**2 * smooth
    padded = F.pad(grey, (radius,) * 4, mode="replicate")
    gx = F.conv2d(F.conv2d(padded, smooth.view(1, 1, -1, 1)), slope.view(1, 1, 1, -1))
    gy = F.conv2d(F.conv2d(padded, slope.view(1, 1, -1, 1)), smooth.view(1, 1, 1, -1))
    return (gx * gx).mean((1, 2, 3)), (gx * gy).mean((1, 2, 3)), (gy * gy).mean((1, 2, 3))


def _resize(grey: Tensor, side: int) -> Tensor:
    if grey.shape[2] > side:
        return F.interpolate(grey, size=[side, side], mode="area")
    if grey.shape[2] < side:
        return F.interpolate(grey, size=[side, side], mode="bilinear", align_corners=False)
    return grey


def _pose(points: Tensor) -> tuple[Tensor, Tensor]:
    """Yaw and roll (K,) in degrees."""
    left, right, nose = points[:, 0], points[:, 1], points[:, 2]
    axis = right - left
    distance = axis.norm(dim=1).clamp(min=1e-6)
    roll = torch.rad2deg(torch.atan2(axis[:, 1], axis[:, 0]))
    aside = ((nose - (left + right) / 2) * axis).sum(1) / distance
    yaw = torch.rad2deg(torch.asin((aside / (0.6 * distance)).clamp(-1, 1)))
    return yaw, roll
