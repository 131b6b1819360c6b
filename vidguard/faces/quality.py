"""How well a face can be seen: size, sharpness and pose."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from vidguard.errors import InputError
from vidguard.types import Quality

# Sharpness is compared at one size, whatever size the encoders' crops have.
_SHARPNESS_SIDE: Final = 128
_LUMA: Final = (0.299, 0.587, 0.114)
_LAPLACIAN: Final = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


def measure_quality(crops: Tensor, boxes_xyxy_px: Tensor, landmarks_px: Tensor) -> list[Quality]:
    """Measure K faces.

    crops: (K, 3, S, S) uint8 RGB aligned crops; boxes_xyxy_px: (K, 4) and landmarks_px: (K, 5, 2) of the same faces in
    source pixels. Sharpness is the standard deviation of the Laplacian of the grey crop at 128 px, 0 to about 1,000; it
    depends on the crops' margin. Raises InputError when the counts differ.

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
    columns = (face_px, _sharpness(crops).cpu(), yaw, roll)
    return [Quality(*values) for values in torch.stack(columns, 1).tolist()]


def _sharpness(crops: Tensor) -> Tensor:
    grey = (crops.float() * torch.tensor(_LUMA, device=crops.device)[:, None, None]).sum(1, keepdim=True)
    side = [_SHARPNESS_SIDE, _SHARPNESS_SIDE]
    if crops.shape[2] > _SHARPNESS_SIDE:
        grey = F.interpolate(grey, size=side, mode="area")
    elif crops.shape[2] < _SHARPNESS_SIDE:
        grey = F.interpolate(grey, size=side, mode="bilinear", align_corners=False)
    kernel = torch.tensor(_LAPLACIAN, device=crops.device)[None, None]
    return F.conv2d(grey, kernel).flatten(1).std(1)


def _pose(points: Tensor) -> tuple[Tensor, Tensor]:
    """Yaw and roll (K,) in degrees."""
    left, right, nose = points[:, 0], points[:, 1], points[:, 2]
    axis = right - left
    distance = axis.norm(dim=1).clamp(min=1e-6)
    roll = torch.rad2deg(torch.atan2(axis[:, 1], axis[:, 0]))
    aside = ((nose - (left + right) / 2) * axis).sum(1) / distance
    yaw = torch.rad2deg(torch.asin((aside / (0.6 * distance)).clamp(-1, 1)))
    return yaw, roll
