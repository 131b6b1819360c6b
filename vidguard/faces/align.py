"""Aligned face crops: one similarity transform per face, from five landmarks to a canonical template.

Coordinates follow OpenCV: the centre of pixel ``i`` is at ``i``, so a matrix from `crop_transforms` can be handed to
``cv2.warpAffine`` as it is.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from vidguard.config import CropGeometry
from vidguard.errors import InputError

# ArcFace's 112 px template (Deng et al., CVPR 2019), in the square, centred form that DeepfakeBench's preprocessing
# uses.
_TEMPLATE_112_PX: Final = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
# Bounds the memory of one crop; a 4096 px wide face still gets one sample per pixel in a 256 px crop.
_MAX_SUBSAMPLES: Final = 16


def template_landmarks(crop: CropGeometry, *, device: torch.device | str = "cpu") -> Tensor:
    """Where the five landmarks lie in an aligned crop: (5, 2) float32, pixels, (x, y).

    The canonical face square is the one of ArcFace's template: eyes 0.31 of its side apart at 0.47 of its height, mouth
    at 0.83. The crop's side is ``margin`` times that square's, about a centre ``down`` squares below the square's: with
    (1.3, 0) it is DeepfakeBench's crop, with (1.0, 0.15) it reaches from brow to chin.
    """
    unit = (torch.tensor(_TEMPLATE_112_PX, device=device) + 0.5) / 112
    centre = torch.tensor([0.5, 0.5 + crop.down], device=device)
    return (0.5 + (unit - centre) / crop.margin) * crop.size - 0.5


def crop_transforms(landmarks_px: Tensor, crop: CropGeometry) -> Tensor:
    """Least-squares similarity transforms from frame pixels to crop pixels.

    landmarks_px: (K, 5, 2) in frame pixels, in the order of `vidguard.types.Observation.landmarks_px`. Returns (K, 2,
    3) float32 matrices M on the same device: ``crop = M @ (x, y, 1)``. Rotation, one scale and a shift, never a mirror
    image (Umeyama, PAMI 1991, in two dimensions). Landmarks that aren't finite or all coincide give NaN. (0, 5, 2)
    gives (0, 2, 3).
    """
    if landmarks_px.ndim != 3 or landmarks_px.shape[1:] != (5, 2):
        raise InputError(f"landmarks_px must be (K, 5, 2), got {tuple(landmarks_px.shape)}")
    points = landmarks_px.float()
    target = template_landmarks(crop, device=points.device)
    points_mean, target_mean = points.mean(1), target.mean(0)
    p, q = points - points_mean[:, None], target - target_mean
    # As complex numbers the best a in q = a p is <p, q> / <p, p>: no singular value decomposition is needed in the
    # plane.
    power = p.square().sum((1, 2))
    a = (p * q).sum((1, 2)) / power
    b = (p[..., 0] * q[:, 1] - p[..., 1] * q[:, 0]).sum(1) / power
    linear = torch.stack([torch.stack([a, -b], -1), torch.stack([b, a], -1)], 1)
    shift = target_mean - (linear @ points_mean[..., None])[..., 0]
    return torch.cat([linear, shift[..., None]], -1)


def crop_faces(frame: Tensor, landmarks_px: Tensor, crop: CropGeometry) -> Tensor:
    """Cut the aligned crops of one frame's faces: `align_crops` for frame (3, H, W) uint8, landmarks (K, 5, 2) px."""
    return align_crops(frame[None], torch.zeros(len(landmarks_px), dtype=torch.long), landmarks_px, crop)


def align_crops(frames: Tensor, frame_index: Tensor, landmarks_px: Tensor, crop: CropGeometry) -> Tensor:
    """Cut aligned face crops out of frames, on the frames' device.

    frames: (N, 3, H, W) uint8; frame_index: (K,) long, the frame of each face; landmarks_px: (K, 5, 2) frame pixels.
    Returns (K, 3, S, S) uint8, S = crop.size, in the frames' colour order. Downscaling averages over each crop pixel's
    footprint, so fine texture doesn't alias; outside the frame its border is repeated (black wedges would be a cue that
    isn't in the face). Every crop depends on its own face only. Raises InputError on a wrong shape, and on landmarks
    that aren't finite or all coincide.
    """
    if frames.ndim != 4 or frames.shape[1] != 3 or frames.dtype != torch.uint8:
        raise InputError(f"frames must be (N, 3, H, W) uint8, got {tuple(frames.shape)} {frames.dtype}")
    if frame_index.shape != landmarks_px.shape[:1]:
        raise InputError(f"{len(landmarks_px)} faces but frame_index of shape {tuple(frame_index.shape)}")
    # The matrices are worked out on the host: regions of interest need plain integers anyway, and this is one transfer.
    inverses = _invert(crop_transforms(landmarks_px.cpu(), crop))
    if not bool(inverses.isfinite().all()):
        raise InputError("landmarks_px must be finite and must not coincide")
    size = crop.size
    regions = _regions(inverses, size, frames.shape[3], frames.shape[2])
    thetas = _normalised(inverses, regions, size).to(frames.device)
    steps = inverses[:, :, 0].norm(dim=1).sub(0.01).ceil().clamp(1, _MAX_SUBSAMPLES)
    crops = torch.empty(len(inverses), 3, size, size, dtype=torch.uint8, device=frames.device)
    faces = zip(frame_index.tolist(), regions.tolist(), steps.int().tolist())
    for k, (n, (x0, y0, x1, y1), step) in enumerate(faces):
        region = frames[n : n + 1, :, y0:y1, x0:x1].float()
        grid = F.affine_grid(thetas[k : k + 1], [1, 3, size * step, size * step], align_corners=False)
        fine = F.grid_sample(region, grid, mode="bilinear", padding_mode="border", align_corners=False)
        crops[k] = F.avg_pool2d(fine, step)[0].round()
    return crops


def _invert(matrices: Tensor) -> Tensor:
    """Inverse of (K, 2, 3) similarity transforms."""
    a, b = matrices[:, 0, 0], matrices[:, 1, 0]
    linear = torch.stack([torch.stack([a, b], -1), torch.stack([-b, a], -1)], 1) / (a * a + b * b)[:, None, None]
    return torch.cat([linear, -linear @ matrices[:, :, 2:]], -1)


def _regions(inverses: Tensor, size: int, width: int, height: int) -> Tensor:
    """Frame rectangles (K, 4) long that hold all pixels a crop needs; at least one pixel, where a crop lies outside."""
    low, high = -0.5, size - 0.5
    corners = torch.tensor([[low, high, low, high], [low, low, high, high], [1, 1, 1, 1]])
    touched = inverses @ corners  # (K, 2, 4)
    limit = torch.tensor([width, height])
    # One more pixel on each side than the corners touch: bilinear interpolation reads the neighbour.
    start = (touched.amin(2).floor().long() - 1).clamp(min=torch.zeros_like(limit), max=limit - 1)
    stop = (touched.amax(2).ceil().long() + 2).clamp(min=torch.ones_like(limit), max=limit)
    return torch.cat([start, torch.maximum(stop, start + 1)], 1)


def _normalised(inverses: Tensor, regions: Tensor, size: int) -> Tensor:
    """Crop-to-frame matrices in affine_grid's terms: from [-1, 1] over the crop to [-1, 1] over each region."""
    start, extent = regions[:, :2].float(), (regions[:, 2:] - regions[:, :2]).float()
    linear = inverses[:, :, :2]
    centre = linear.sum(2) * (size - 1) / 2 + inverses[:, :, 2]  # frame position of the crop's centre
    scale = linear * size / extent[..., None]
    shift = (2 * (centre - start) + 1) / extent - 1
    return torch.cat([scale, shift[..., None]], -1)
