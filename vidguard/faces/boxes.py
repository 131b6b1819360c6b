"""Arithmetic on boxes ``(x0, y0, x1, y1)`` in pixels, all of it on whole tensors of boxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

# Rows and columns of the overlap matrix held at once; bounds memory where a picture yields many thousand candidates.
_NMS_BLOCK: Final = 1024


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of every box of a (A, 4) with every box of b (B, 4): (A, B), 0 to 1."""
    shared = _shared_area(a, b, 0.0)
    return shared / (_area(a, 0.0)[:, None] + _area(b, 0.0) - shared).clamp(min=1e-9)


def pairwise_cover(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over the smaller of two boxes, (A, B). Sides count both end pixels, as MTCNN's last stage does."""
    return _shared_area(a, b, 1.0) / torch.minimum(_area(a, 1.0)[:, None], _area(b, 1.0))


def suppress(
    boxes: Tensor,
    scores: Tensor,
    group: Tensor,
    threshold: float,
    overlap: Callable[[Tensor, Tensor], Tensor] = pairwise_iou,
) -> Tensor:
    """Greedy non-maximum suppression within groups.

    boxes: (K, 4), scores: (K,), group: (K,) long; boxes of different groups don't see each other. Returns the indices
    of the boxes that stay, best score first (equal scores in the order given). A box goes when a better box that stays
    overlaps it by more than threshold.
    """
    by_score = scores.argsort(descending=True, stable=True)
    by_group = group[by_score].argsort(stable=True)  # a block then meets few boxes but those of its own groups
    boxes, group = boxes[by_score][by_group], group[by_score][by_group]
    firsts = torch.searchsorted(group, group[::_NMS_BLOCK].contiguous()).tolist()
    stays = torch.ones_like(by_score, dtype=torch.bool)

    def beats(better: Tensor | slice, block: slice) -> Tensor:
        same = group[better][:, None] == group[block]
        return (overlap(boxes[better], boxes[block]) > threshold) & same

    for number, first in enumerate(firsts):
        start = number * _NMS_BLOCK
        block = slice(start, start + _NMS_BLOCK)
        candidates = stays[block]
        for better in torch.split(first + stays[first:start].nonzero()[:, 0], _NMS_BLOCK):
            candidates = candidates & ~beats(better, block).any(0)
        stays[block] = _greedy(beats(block, block).triu(1), candidates)
    return by_score[by_group[stays].sort().values]


def _greedy(beats: Tensor, candidates: Tensor) -> Tensor:
    """Which candidates (B,) stay when ``beats[i, j]`` says that i, if it stays, removes j; beats is upper triangular.

    Repeats one parallel step until nothing changes. By induction the first t entries are right after t steps; in
    practice a few steps do, where a loop would take one per box.
    """
    stays = candidates
    while True:
        step = candidates & ~(beats & stays[:, None]).any(0)
        if torch.equal(step, stays):
            return stays
        stays = step


def square(boxes: Tensor) -> Tensor:
    """Squares (K, 4) with the longer side of each box, about the same centre."""
    side = (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True)
    corner = (boxes[:, :2] + boxes[:, 2:] - side) / 2
    return torch.cat([corner, corner + side], 1)


def regress(boxes: Tensor, offsets: Tensor, extra_px: float = 1.0) -> Tensor:
    """Move the corners (K, 4) by offsets (K, 4) given as fractions of the sides; sides are ``x1 - x0 + extra_px``."""
    sides = boxes[:, 2:] - boxes[:, :2] + extra_px
    return boxes + offsets * sides.repeat(1, 2)


def _area(boxes: Tensor, extra_px: float) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2] + extra_px).clamp(min=0).prod(1)


def _shared_area(a: Tensor, b: Tensor, extra_px: float) -> Tensor:
    width, height = (  # one after the other: (A, B, 2) takes three times as long
        torch.minimum(a[:, None, axis + 2], b[:, axis + 2])
        .sub_(torch.maximum(a[:, None, axis], b[:, axis]))
        .add_(extra_px)
        .clamp_(min=0)
        for axis in (0, 1)
    )
    return width.mul_(height)
