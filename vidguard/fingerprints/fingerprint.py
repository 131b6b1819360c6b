"""A fingerprint detector: statistics of a face, and a fitted support vector machine or logistic regression on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vidguard.errors import InputError, WeightsError
from vidguard.files import write_whole
from vidguard.fingerprints.color import color_statistics
from vidguard.fingerprints.spectrum import azimuthal_spectrum
from vidguard.scoring.calibration import Platt

Floats = NDArray[np.float64]

_KEY: Final = "vidguard.fingerprint"
_MAX_BYTES: Final = 64 << 20  # 25,000 support vectors of 300 numbers; what is fitted here has a tenth


@dataclass(frozen=True)
class Kind:
    """What a kind of fingerprint reads and how it decides."""

    features: Callable[[NDArray[np.uint8]], Floats]
    standardize: bool
    gamma: float | None
    """Of an RBF kernel exp(-gamma |x - v|^2); None: the decision is linear in the features."""


KINDS: Final = {
    # Durall's settings; they fit features that are left as they are
    "spectrum-svm": Kind(azimuthal_spectrum, standardize=False, gamma=0.86),
    "spectrum-logistic": Kind(azimuthal_spectrum, standardize=True, gamma=None),
    "color-svm": Kind(color_statistics, standardize=True, gamma=None),
}


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """A fitted detector of one of the `KINDS`; calling it judges a face."""

    kind: str
    mean: Floats
    """(D,): subtracted from the features, which are then divided by `scale`."""
    scale: Floats
    vectors: Floats
    """(K, D) support vectors, scaled; (0, D) where the decision is linear."""
    weights: Floats
    """(K,) dual coefficients of the support vectors; (D,) where the decision is linear."""
    intercept: float
    platt: Platt
    trained_on: str

    def __post_init__(self) -> None:
        """Refuse what can't be a detector of its kind."""
        if self.kind not in KINDS:
            raise InputError(f"kind must be one of {', '.join(KINDS)}; got {self.kind!r}")
        size = len(self.mean)
        linear = KINDS[self.kind].gamma is None
        shapes = [self.mean.shape, self.scale.shape, self.vectors.shape, self.weights.shape]
        count = 0 if linear else len(self.vectors)
        if shapes != [(size,), (size,), (count, size), (size if linear else count,)]:
            raise InputError(f"the arrays of a {self.kind} don't fit each other: {shapes}")
        arrays = (self.mean, self.scale, self.vectors, self.weights, np.array(self.intercept))
        if not all(array.dtype == np.float64 and np.isfinite(array).all() for array in arrays):
            raise InputError(f"the arrays of a {self.kind} must be finite float64")
        if not (self.scale > 0).all():
            raise InputError("every scale must be positive")

    def __call__(self, face: NDArray[np.uint8]) -> float:
        """Logit of a face (H, W, 3) uint8 RGB being fake, calibrated: the sigmoid of it is a probability.

        The face must be cut at native scale, as `native_face` does: resizing writes its own spectrum over the face's.
        Raises InputError for another shape or type, below 32 px, and where there is nothing to read.
        """
        return float(self.judge(KINDS[self.kind].features(face)[None])[0])

    def judge(self, features: Floats) -> Floats:
        """Calibrated logits (N,) of features (N, D)."""
        return self.platt.slope * self.decide(features) + self.platt.offset

    def decide(self, features: Floats) -> Floats:
        """The machine's own decision values (N,) of features (N, D), positive means fake."""
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise InputError(f"features must be (N, {len(self.mean)}), got {features.shape}")
        scaled = (features - self.mean) / self.scale
        gamma = KINDS[self.kind].gamma
        if gamma is None:
            return np.asarray(scaled @ self.weights + self.intercept, np.float64)
        squared = (scaled**2).sum(1)[:, None] - 2 * scaled @ self.vectors.T + (self.vectors**2).sum(1)
        return np.asarray(np.exp(-gamma * squared) @ self.weights + self.intercept, np.float64)


_ARRAYS: Final = ("mean", "scale", "vectors", "weights")


def save_fingerprint(fingerprint: Fingerprint, path: Path) -> None:
    """Write a detector as one safetensors file with its settings in the metadata; whole or not at all."""
    settings = {
        "kind": fingerprint.kind,
        "intercept": fingerprint.intercept,
        "slope": fingerprint.platt.slope,
        "offset": fingerprint.platt.offset,
        "trained_on": fingerprint.trained_on,
    }
    arrays = {name: np.ascontiguousarray(getattr(fingerprint, name)) for name in _ARRAYS}
    write_whole(path, save(arrays, {_KEY: json.dumps(settings, allow_nan=False)}))


def load_fingerprint(path: Path) -> Fingerprint:
    """Read what `save_fingerprint` wrote. Raises WeightsError for anything else; a file over 64 MiB isn't read."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise WeightsError(f"{path} is larger than any fingerprint ({_MAX_BYTES >> 20} MiB)")
        with safe_open(path, framework="numpy") as file:
            settings = json.loads((file.metadata() or {})[_KEY])
            arrays: dict[str, Any] = {name: file.get_tensor(name) for name in _ARRAYS}
        return Fingerprint(
            kind=settings["kind"],
            **arrays,
            intercept=float(settings["intercept"]),
            platt=Platt(slope=settings["slope"], offset=settings["offset"]),
            trained_on=str(settings["trained_on"]),
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} isn't a fingerprint ({error}); save one with save_fingerprint") from error
