"""Changes of scene between sampled frames, sudden and gradual: where a face at the same place may be another person's.

Figures in comments are those of `benchmarks/accuracy/cuts.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_SAMPLED_SIDE: Final = 64
_THUMBNAIL_SIDE: Final = 32
_BINS: Final = 8
_LUMA: Final = (0.299, 0.587, 0.114)
# Detail is brightness less its local mean. Structure is detail in units of its local deviation and a little, which
# keeps noise in flat places small: lamps that dim, change colour or stand aside change it little.
_LOCAL_SIDE: Final = 9
_NOISE: Final = 1.5
# A picture with less deviation of brightness (0-255) shows nothing to compare: black, white, the height of a flash.
_BLANK: Final = 4.0
# Mean difference of thumbnails (0-255) and half the L1 distance of colour histograms (0-1) that count one each.
_DIFFERENCE: Final = 30.0
_DISTANCE: Final = 0.2
# A change of scene changes both colour and structure: their sum exceeds _COLOUR, the correlation of structures is below
# _SAME. Below _OTHER it is a cut beyond doubt. Of 2,040 frames of ordinary clips 3 are called cuts and 2 doubtful, of
# 200 joins of two series 194 and 6, of one series 75 and 35. By colour alone 20 to 55 % of frames in changing light are
# cuts. A camera that pans by its picture's width in a second still cuts.
_COLOUR: Final = 2.2
_SAME: Final = 0.5
_OTHER: Final = 0.2
# A dissolve lasts so long at most, seconds.
LONGEST_BLEND: Final = 2.3
# Where thumbnails differ less from one frame to the next, nothing is mixed.
_STILL: Final = 1.0
# In it the detail of each picture is A + alpha (B - A) and a rest of no more than this share of B - A: a camera that
# pans goes from A to B as evenly, but by details that are in neither.
_REST: Final = 0.4
# Detail of the two ends correlates less; fades, of one scene, keep it.
_ALIKE: Final = 0.5
# alpha grows with each frame by at least the first of these, at most the second, and about evenly: this far from a
# straight line at most.
_LEAST_STEP: Final = 0.02
_LARGEST_STEP: Final = 0.7
_UNEVEN: Final = 0.2


class Change(Enum):
    """What became of the scene between the last frame that showed anything and this one."""

    NONE = 0
    DOUBTFUL = 1
    """Another scene, or the same one in other light: whose face is whose must tell."""
    CUT = 2


@dataclass(frozen=True, eq=False)
class Pictures:
    """Small pictures of N frames.

    thumbnails: (N, 3 * 32 * 32), 0-255; histograms: (N, 512), of colours, sum to 1; detail: (N, 32 * 32), of
    brightness; structure: (N, 32 * 32), unit vectors; deviation: (N,), of brightness, 0-255.
    """

    thumbnails: Tensor
    histograms: Tensor
    detail: Tensor
    structure: Tensor
    deviation: Tensor

    def __getitem__(self, index: int) -> Pictures:
        """One frame's."""
        one = slice(index, index + 1)
        parts = (self.thumbnails, self.histograms, self.detail, self.structure, self.deviation)
        return Pictures(*(part[one] for part in parts))

    @property
    def blank(self) -> bool:
        """Whether one frame shows nothing."""
        return bool(self.deviation < _BLANK)


class SceneFinder:
    """Compares each frame with those before, across batches."""

    def __init__(self) -> None:
        """Start before the first frame."""
        self._last: Pictures | None = None
        self._recent: deque[tuple[float, Pictures]] = deque()

    def push(self, frames: Tensor, times: Sequence[float]) -> list[tuple[Change, float | None]]:
        """What each frame of (N, 3, H, W) uint8 changes, and since when it and those before were blends.

        The very first frame changes nothing: nothing ended. A frame that ends a blend or goes on with one is a cut, and
        comes with the time of the blend's first frame.
        """
        if not len(frames):
            return []
        pictures = describe(frames)
        found = []
        for index, time in enumerate(times):
            shown = pictures[index]
            change, since = self._compare(shown), self._blend(shown, time)
            found.append((change if since is None else Change.CUT, since))
        return found

    def _compare(self, shown: Pictures) -> Change:
        if shown.blank:
            return Change.NONE
        last, self._last = self._last, shown
        return Change.NONE if last is None else compare(last, shown)

    def _blend(self, shown: Pictures, time: float) -> float | None:
        """When the blend that this frame ends or goes on with began: the time of its first mixed frame."""
        while self._recent and self._recent[0][0] < time - LONGEST_BLEND:
            self._recent.popleft()
        self._recent.append((time, shown))
        if shown.blank or len(self._recent) < 3:
            return None
        if (shown.thumbnails - self._recent[-2][1].thumbnails).abs().mean() < _STILL:
            return None
        times = np.array([t for t, _ in self._recent])
        detail = torch.cat([p.detail for _, p in self._recent]).cpu().numpy()
        products = detail @ detail.T
        power = np.sqrt(np.maximum(products.diagonal(), 1e-6))
        for first in np.flatnonzero(products[:-2, -1] <= _ALIKE * power[:-2] * power[-1]):
            if is_blend(products[first:, first:], times[first:]):
                start = self._recent[first][1]
                if not start.blank and compare(start, shown) is not Change.NONE:
                    return float(times[first + 1])
        return None


def is_blend(products: NDArray[np.float32], times: NDArray[np.float64]) -> bool:
    """Whether pictures go evenly from the first to the last. products: (K, K), of their details; times: (K,)."""
    # of differences to the last: p = M - B, a = A - B, M = B + (1 - alpha) a + rest
    gram = products - products[-1:] - products[:, -1:] + products[-1, -1]
    length = max(float(gram[0, 0]), 1e-6)
    alpha = 1 - gram[0] / length
    steps = np.diff(alpha)
    if steps.min() < _LEAST_STEP or steps.max() > _LARGEST_STEP:
        return False
    rest = np.sqrt(np.maximum(gram.diagonal() - gram[0] ** 2 / length, 0) / length)
    even = (times - times[0]) / (times[-1] - times[0])
    return bool(rest.max() <= _REST and np.abs(alpha - even).max() <= _UNEVEN)


def compare(before: Pictures, after: Pictures) -> Change:
    """Compare two frames by colour and structure."""
    difference = (after.thumbnails - before.thumbnails).abs().mean() / _DIFFERENCE
    distance = (after.histograms - before.histograms).abs().sum() / 2 / _DISTANCE
    likeness = float((after.structure * before.structure).sum())
    if float(difference + distance) <= _COLOUR or likeness >= _SAME:
        return Change.NONE
    return Change.CUT if likeness < _OTHER else Change.DOUBTFUL


def describe(frames: Tensor) -> Pictures:
    """Small pictures of frames (N, 3, H, W) uint8."""
    step = max(1, min(frames.shape[2:]) // _SAMPLED_SIDE)
    few = frames[:, :, ::step, ::step]
    thumbnails = F.adaptive_avg_pool2d(few.float(), _THUMBNAIL_SIDE)
    red, green, blue = (few.flatten(2).long() * _BINS // 256).unbind(1)
    cells = (red * _BINS + green) * _BINS + blue
    histograms = torch.zeros(len(frames), _BINS**3, device=frames.device)
    histograms.scatter_add_(1, cells, torch.full_like(cells, 1 / cells.shape[1], dtype=torch.float32))
    grey = (thumbnails * torch.tensor(_LUMA, device=frames.device)[:, None, None]).sum(1, keepdim=True)
    return Pictures(
        thumbnails.flatten(1), histograms, _detail(grey).flatten(1), structure(grey), grey.flatten(1).std(1)
    )


def structure(grey: Tensor) -> Tensor:
    """What light changes least, of pictures (N, 1, S, S): unit vectors (N, S * S) without a mean."""
    detail = _detail(grey)
    relative = (detail / (_local_mean(detail.square()).sqrt() + _NOISE)).flatten(1)
    return F.normalize(relative - relative.mean(1, keepdim=True), dim=1)


def _detail(grey: Tensor) -> Tensor:
    return grey - _local_mean(grey)


def _local_mean(grey: Tensor) -> Tensor:
    half = _LOCAL_SIDE // 2
    return F.avg_pool2d(F.pad(grey, (half,) * 4, mode="replicate"), _LOCAL_SIDE, stride=1)
