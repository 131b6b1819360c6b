"""Batched MTCNN: the cascade of Zhang et al. 2016 as facenet-pytorch runs it, without loops over candidate boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from vidguard.config import FaceConfig
from vidguard.errors import InputError
from vidguard.faces.area import AreaSampler
from vidguard.faces.boxes import pairwise_cover, regress, square, suppress
from vidguard.faces.mtcnn import load_networks

_CELL: Final = 12
_STRIDE: Final = 2
# Overlaps above which the weaker box goes: within a P-Net scale, between scales and after R-Net, and (of the smaller
# box) after O-Net. The reference implementation's values.
_NMS_SCALE: Final = 0.5
_NMS_IMAGE: Final = 0.7
# On real clips with boxes put off by 20 % of their side, one pass leaves landmarks 3.9 % of the side off, two 3.3 %,
# and R-Net before them 3.6 to 3.9 %; enlarging the box first makes each worse. Fourteen passes in a row stay within 1
# %.
_REFINE_PASSES: Final = 2
# Bounds memory: 16 frames of 720p, or one of 8K, pass through P-Net together; 512 crops through O-Net, on a CPU 128,
# whose features then stay in cache (benchmarks/speed/LOG.md).
_PIXELS_PER_PASS: Final = 16 * 1280 * 720
_CROPS_PER_PASS: Final = 128


@dataclass(frozen=True)
class Detections:
    """Faces in one frame, on the detector's device.

    boxes_xyxy_px: (K, 4) float32, frame pixels, may reach beyond the frame; landmarks_px: (K, 5, 2) float32, (x, y) in
    the order of `vidguard.types.Observation`; probs: (K,) float32, O-Net's score, 0 to 1.
    """

    boxes_xyxy_px: Tensor
    landmarks_px: Tensor
    probs: Tensor

    def __post_init__(self) -> None:
        """Refuse shapes that don't belong together."""
        count = len(self.probs)
        shapes = (self.boxes_xyxy_px.shape, self.landmarks_px.shape, self.probs.shape)
        if shapes != ((count, 4), (count, 5, 2), (count,)):
            raise InputError(f"boxes, landmarks and probs don't match: {[tuple(shape) for shape in shapes]}")

    def __len__(self) -> int:
        """Count the faces."""
        return len(self.probs)


class FaceDetector:
    """Finds faces and their five landmarks in batches of frames.

    Raises WeightsError when facenet-pytorch's weight files are missing or altered.
    """

    def __init__(self, config: FaceConfig = FaceConfig(), device: torch.device | str = "cpu") -> None:  # noqa: B008 - frozen
        """Load the three networks onto a device."""
        self.config = config
        self.device = torch.device(device)
        self._pnet, self._rnet, self._onet = load_networks(self.device)

    @torch.no_grad()
    def detect(self, frames: Tensor) -> list[Detections]:
        """Look at whole frames.

        frames: (N, 3, H, W) uint8 RGB on any device. Returns one `Detections` per frame, largest box first. Frames
        whose longer side exceeds config.max_detection_side_px are scaled down first. Where they aren't, the result is
        that of facenet_pytorch.MTCNN with the same settings. What else is in the batch changes a result by no more than
        float noise.
        """
        _require_frames(frames)
        found: list[Detections] = []
        for part in _passes(frames, self.device):
            found += self._detect_pass(part.to(self.device))
        return found

    @torch.no_grad()
    def refine(self, frames: Tensor, boxes_xyxy_px: list[Tensor]) -> list[Detections]:
        """Look again at faces whose place is roughly known, with O-Net only.

        frames: (N, 3, H, W) uint8 RGB; boxes_xyxy_px: N tensors (K_i, 4), frame pixels, predicted face boxes. Row k of
        the answer belongs to box k, always. What isn't a face (any more) has a prob below config.thresholds[2], 0
        outside the frame, and a box and landmarks that mean nothing.
        """
        _require_frames(frames)
        if len(boxes_xyxy_px) != len(frames):
            raise InputError(f"{len(frames)} frames but {len(boxes_xyxy_px)} tensors of boxes")
        refined: list[Detections] = []
        for frame, boxes in zip(frames, boxes_xyxy_px):
            refined.append(self._refine_frame(frame[None].to(self.device), boxes.to(self.device, torch.float32)))
        return refined

    def _detect_pass(self, frames: Tensor) -> list[Detections]:
        height, width = frames.shape[2:]
        shrink = min(1.0, self.config.max_detection_side_px / max(height, width))
        if shrink < 1:
            size = [max(1, round(height * shrink)), max(1, round(width * shrink))]
            # one channel after another: as floats, an 8K picture's three would take 450 MB at once
            channels = [F.interpolate(one.float(), size=size, mode="area").round() for one in torch.split(frames, 1, 1)]
            frames = torch.cat(channels, 1).to(torch.uint8)
        pixels = AreaSampler(frames)
        boxes, index = self._propose(pixels, len(frames), max(float(_CELL), self.config.min_face_px * shrink))
        boxes, index = self._reject(pixels, boxes, index)
        boxes, landmarks, probs, index = self._finish(pixels, boxes, index)
        # One sort by frame, then by size: sizes first, because the second sort is stable.
        order = (boxes[:, 2:] - boxes[:, :2]).prod(1).argsort(descending=True, stable=True)
        order = order[index[order].argsort(stable=True)]
        back = torch.tensor([width / pixels.width, height / pixels.height], device=self.device)
        counts: list[int] = index.bincount(minlength=len(frames)).tolist()
        columns = (boxes[order] * back.repeat(2), landmarks[order] * back, probs[order])
        return [Detections(*faces) for faces in zip(*(torch.split(column, counts) for column in columns))]

    def _propose(self, pixels: AreaSampler, num_frames: int, min_face_px: float) -> tuple[Tensor, Tensor]:
        """P-Net on every scale of the pyramid: candidate squares (K, 4) and the frame of each (K,)."""
        scores, cells, offsets, level = [], [], [], []
        for number, scale in enumerate(_pyramid(pixels, min_face_px, self.config.pyramid_factor)):
            picture = pixels.resize(int(pixels.height * scale + 1), int(pixels.width * scale + 1))
            probability, regression = self._pnet(_normalise(picture))
            scores.append(probability.flatten(1))
            offsets.append(regression.flatten(2).mT)
            cells.append(_cell_boxes(probability.shape[1], probability.shape[2], scale, self.device))
            level.append(torch.full((len(cells[-1]),), number, device=self.device))
        if not scores:
            return torch.zeros(0, 4, device=self.device), torch.zeros(0, dtype=torch.long, device=self.device)
        score = torch.cat(scores, 1)
        index, cell = (score >= self.config.thresholds[0]).nonzero(as_tuple=True)
        score, boxes, offset = score[index, cell], torch.cat(cells)[cell], torch.cat(offsets, 1)[index, cell]
        group = torch.cat(level)[cell] * num_frames + index
        kept = suppress(boxes, score, group, _NMS_SCALE).sort().values
        kept = kept[suppress(boxes[kept], score[kept], index[kept], _NMS_IMAGE)]
        return square(regress(boxes[kept], offset[kept], extra_px=0.0)), index[kept]

    def _reject(self, pixels: AreaSampler, boxes: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """R-Net: the candidates it accepts, moved and squared."""
        probs, offsets = _in_parts(self._rnet_on, pixels, boxes, index)
        passed = probs > self.config.thresholds[1]
        boxes, index, offsets = boxes[passed], index[passed], offsets[passed]
        kept = suppress(boxes, probs[passed], index, _NMS_IMAGE)
        return square(regress(boxes[kept], offsets[kept])), index[kept]

    def _finish(self, pixels: AreaSampler, boxes: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """O-Net: boxes, landmarks, probabilities and frames of the faces it accepts."""
        probs, boxes, landmarks = _in_parts(self._onet_on, pixels, boxes, index)
        passed = probs > self.config.thresholds[2]
        probs, boxes, landmarks, index = probs[passed], boxes[passed], landmarks[passed], index[passed]
        kept = suppress(boxes, probs, index, _NMS_IMAGE, pairwise_cover)
        return boxes[kept], landmarks[kept], probs[kept], index[kept]

    def _rnet_on(self, pixels: AreaSampler, boxes: Tensor, index: Tensor) -> tuple[Tensor, ...]:
        """R-Net's probability (K,), 0 outside the frame, and box regression (K, 4)."""
        rects, inside = _rects(boxes, pixels.width, pixels.height)
        probs, offsets = self._rnet(_normalise(pixels.crops(index, rects, 24)))
        return probs * inside, offsets

    def _onet_on(self, pixels: AreaSampler, boxes: Tensor, index: Tensor) -> tuple[Tensor, ...]:
        """O-Net's probability (K,), 0 outside the frame, its boxes (K, 4) and landmarks (K, 5, 2) in pixels."""
        rects, inside = _rects(boxes, pixels.width, pixels.height)
        probs, offsets, points = self._onet(_normalise(pixels.crops(index, rects, 48)))
        sides = boxes[:, 2:] - boxes[:, :2] + 1
        # One pixel less: MATLAB, where the networks were trained, counts pixels from 1.
        landmarks = points.unflatten(1, (2, 5)).mT * sides[:, None] + boxes[:, None, :2] - 1
        return probs * inside, regress(boxes, offsets), landmarks

    def _refine_frame(self, frame: Tensor, boxes: Tensor) -> Detections:
        index = torch.zeros(len(boxes), dtype=torch.long, device=self.device)
        probs, landmarks = (
            torch.zeros(len(boxes), device=self.device),
            torch.zeros(len(boxes), 5, 2, device=self.device),
        )
        for _ in range(_REFINE_PASSES if len(boxes) else 0):
            boxes = square(boxes)
            rects, _ = _rects(boxes, frame.shape[3], frame.shape[2])
            around = [*rects[:, :2].amin(0).tolist(), *rects[:, 2:].amax(0).tolist()]
            probs, boxes, landmarks = self._onet_on(AreaSampler(frame, around), boxes, index)
        return Detections(boxes, landmarks, probs)


def _require_frames(frames: Tensor) -> None:
    if frames.ndim != 4 or frames.shape[1] != 3 or frames.dtype != torch.uint8:
        raise InputError(f"frames must be (N, 3, H, W) uint8, got {tuple(frames.shape)} {frames.dtype}")


def _passes(frames: Tensor, device: torch.device) -> tuple[Tensor, ...]:
    """Batches for one pass each. On a CPU single frames are up to twice as fast: their features stay in cache."""
    count = 1 if device.type == "cpu" else max(1, _PIXELS_PER_PASS // (frames.shape[2] * frames.shape[3]))
    return torch.split(frames, count) if len(frames) else ()


def _normalise(pixels: Tensor) -> Tensor:
    return (pixels - 127.5) * 0.0078125


def _pyramid(pixels: AreaSampler, min_face_px: float, factor: float) -> Iterator[float]:
    """Scales at which a P-Net cell covers faces from min_face_px up to the shorter side."""
    scale = _CELL / min_face_px
    side = min(pixels.height, pixels.width) * scale
    while side >= _CELL:
        yield scale
        scale, side = scale * factor, side * factor


def _cell_boxes(rows: int, columns: int, scale: float, device: torch.device) -> Tensor:
    """What each P-Net cell covers in the unscaled frame: (rows * columns, 4) float32, row by row."""
    y, x = torch.meshgrid(torch.arange(rows, device=device), torch.arange(columns, device=device), indexing="ij")
    corner = torch.stack([x, y], -1).reshape(-1, 2).float() * _STRIDE
    return torch.cat([((corner + 1) / scale).floor(), ((corner + _CELL) / scale).floor()], 1)


def _rects(boxes: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Pixels under boxes, cut at the frame's border: (K, 4) long, half-open, and which (K,) of them aren't empty."""
    limit = torch.tensor([width, height], device=boxes.device)
    whole = boxes.nan_to_num().clamp(-1e6, 1e6).long()  # truncates, as the reference does
    start, stop = whole[:, :2].clamp(min=1) - 1, torch.minimum(whole[:, 2:], limit)
    inside = (stop > start).all(1)
    start = torch.minimum(start, limit - 1)
    return torch.cat([start, torch.maximum(stop, start + 1)], 1), inside


def _in_parts(
    run: Callable[[AreaSampler, Tensor, Tensor], tuple[Tensor, ...]], pixels: AreaSampler, boxes: Tensor, index: Tensor
) -> tuple[Tensor, ...]:
    """Run a network on at most _CROPS_PER_PASS boxes at a time, four times as many on a GPU."""
    most = _CROPS_PER_PASS * (1 if boxes.device.type == "cpu" else 4)
    parts = zip(torch.split(boxes, most), torch.split(index, most))
    return tuple(torch.cat(column) for column in zip(*(run(pixels, *part) for part in parts)))
