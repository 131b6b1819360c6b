"""The frequency spectrum of a face, averaged over directions (Durall et al. 2019, arXiv:1911.00686)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from vidguard.errors import InputError
from vidguard.fingerprints.face import require_rgb

POINTS: Final = 300
_LUMA: Final = np.array([0.299, 0.587, 0.114])  # BT.601
_LEAST: Final = 1e-8  # added to magnitudes: a frequency that is missing has no logarithm


def azimuthal_spectrum(face: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Spectrum of a face (H, W, 3) uint8 RGB at native scale, which means never resized; (300,) float64.

    From the lowest frequency to the corners', in units of the lowest one's decibels (natural logarithm, times 20, as
    the authors have it). Only the central square is read. Raises InputError for another shape or type, below 32 px and
    where there is no contrast.
    """
    require_rgb(face)
    gray = face.astype(np.float64) @ _LUMA
    side = min(gray.shape)
    top, left = (gray.shape[0] - side) // 2, (gray.shape[1] - side) // 2
    magnitude = np.abs(np.fft.fftshift(np.fft.fft2(gray[top : top + side, left : left + side])))
    profile = ring_means(20 * np.log(magnitude + _LEAST))
    if profile[0] < 20:
        raise InputError("a picture without contrast has no spectrum to read")
    # the same share of the sampling rate at the same position, whatever the face's size
    positions = np.linspace(0, len(profile) - 1, POINTS)
    relative: NDArray[np.float64] = np.interp(positions, np.arange(len(profile)), profile) / profile[0]
    return relative


def ring_means(spectrum: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over rings of integer radius around the zero frequency of a shifted spectrum (S, S), which is left out."""
    side = spectrum.shape[0]
    offset = np.arange(side) - side // 2
    radius = np.hypot(offset[:, None], offset[None]).astype(np.int64).ravel()
    sums, counts = np.bincount(radius, spectrum.ravel()), np.bincount(radius)
    return sums[1:] / counts[1:]
