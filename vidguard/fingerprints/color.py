"""Colour statistics of a face.

Forgeries and generators keep a face's look, not the statistics that a camera's sensor and its processing leave in
chroma (Li et al. 2018, arXiv:1808.07276) and in exposure (McCloskey & Albright 2018, arXiv:1812.08247).
"""

from __future__ import annotations

from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vidguard.fingerprints.face import require_rgb

SATURATION_BINS: Final = 8
# full-range BT.601, rows Y, Cb, Cr
_TO_YCBCR: Final = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_DARK, _BRIGHT = 2 / 255, 253 / 255


def color_statistics(face: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Statistics (48,) float64 of a face (H, W, 3) uint8 RGB at native scale.

    Of Y, Cb, Cr and HSV's saturation: mean, spread, skewness, log(1 + excess kurtosis) (16); of the differences of
    neighbours in Y, Cb and Cr: logarithm of the spread, and of kurtosis as before (6); correlations between R, G, B,
    between Y, Cb, Cr, between saturation and value, and between the neighbours' differences of R, G, B and of Y, Cb, Cr
    (13); hue as a mean direction, weighted by saturation (2); shares of dark pixels, bright ones and ones bright in any
    channel (3); histogram of saturation (8). Raises InputError for another shape or type and below 32 px.
    """
    require_rgb(face)
    rgb = np.ascontiguousarray(face.transpose(2, 0, 1)) / 255.0
    ycbcr = (_TO_YCBCR @ rgb.reshape(3, -1)).reshape(rgb.shape)
    value = rgb.max(0)
    saturation = (value - rgb.min(0)) / np.maximum(value, 1 / 255)
    hue = np.stack([2 * rgb[0] - rgb[1] - rgb[2], np.sqrt(3) * (rgb[1] - rgb[2])])
    hue *= saturation / np.maximum(np.sqrt((hue * hue).sum(0)), 1e-6)
    steps_rgb, steps = _differences(rgb), _differences(ycbcr)
    bins = np.minimum(saturation.ravel() * SATURATION_BINS, SATURATION_BINS - 1).astype(np.int64)
    histogram = np.bincount(bins, minlength=SATURATION_BINS) / saturation.size
    parts = [
        *(_moments(channel) for channel in (*ycbcr, saturation)),
        *(np.array([np.log(np.std(s) + 1e-4), _moments(s)[3]]) for s in steps),
        *(_correlations(channels) for channels in (rgb, ycbcr, np.stack([saturation, value]), steps_rgb, steps)),
        hue.mean((1, 2)),
        np.array([(value <= _DARK).mean(), (rgb.min(0) >= _BRIGHT).mean(), (value >= _BRIGHT).mean()]),
        histogram,
    ]
    return np.concatenate(parts)


def _moments(channel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean, spread, skewness and log(1 + excess kurtosis); the last two are 0 for a channel of one value."""
    mean, spread = channel.mean(), channel.std()
    # a level of 8 bits as the least spread: below it there is rounding only
    normal = (channel - mean) / max(float(spread), 1 / 255)
    # products: numpy's powers take ten times as long
    squares = normal * normal
    second, third, fourth = squares.mean(), (squares * normal).mean(), (squares * squares).mean()
    # a difference's kurtosis runs into the hundreds where most of a face is smooth
    return np.array([mean, spread, third, np.log1p(max(float(fourth - 3 * second**2), -0.9))])


def _differences(channels: NDArray[np.float64]) -> NDArray[np.float64]:
    """(C, H, W) -> (C, K): steps to the right and to the next line of every pixel."""
    across, down = np.diff(channels, axis=2), np.diff(channels, axis=1)
    return np.concatenate([across.reshape(len(channels), -1), down.reshape(len(channels), -1)], axis=1)


def _correlations(channels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation of every pair of channels (C, ...); 0 where one doesn't vary."""
    flat = channels.reshape(len(channels), -1)
    centred = flat - flat.mean(1, keepdims=True)
    norms = np.sqrt((centred**2).sum(1))
    return np.array(
        [centred[a] @ centred[b] / max(norms[a] * norms[b], 1e-9) for a, b in combinations(range(len(flat)), 2)]
    )
