"""From logits to probabilities that mean something: Platt scaling, and thresholds for a stated false-positive rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from vidguard.errors import InputError


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Platt:
    """P(fake) = sigmoid(slope * logit + offset) (Platt 1999)."""

    slope: float
    offset: float

    def __post_init__(self) -> None:
        """Refuse a scaling that would turn the order of scores around."""
        if not self.slope > 0:
            raise ValueError(f"slope must be positive, got {self.slope}")

    def __call__(self, logit: float) -> float:
        """Calibrate one finite logit; gives a float in [0, 1]."""
        x = self.slope * logit + self.offset
        return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


def fit_logistic(
    features: ArrayLike, is_fake: ArrayLike, weights: ArrayLike, *, ridge: float = 1e-3
) -> NDArray[np.float64]:
    """Weighted logistic regression by Newton's method.

    features: (N, D); is_fake: (N,) bool; weights: (N,) positive. Gives (D + 1,) coefficients, the offset last. The
    labels are softened as Platt does, so that separable data give finite answers.
    """
    x = np.asarray(features, np.float64)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    truth, w = np.asarray(is_fake, bool), np.asarray(weights, np.float64)
    if truth.all() or not truth.any():
        raise InputError("calibration needs both real and fake examples")
    target = np.where(truth, (truth.sum() + 1) / (truth.sum() + 2), 1 / ((~truth).sum() + 2))
    w = w / w.mean()
    penalty = ridge * len(x) * np.eye(x.shape[1])
    penalty[-1, -1] = 0.0
    beta = np.zeros(x.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (w * (p - target)) + penalty @ beta
        hessian = (x * (w * p * (1 - p))[:, None]).T @ x + penalty + 1e-9 * np.eye(x.shape[1])
        step = np.linalg.solve(hessian, gradient)
        # halving keeps Newton from overshooting on nearly separable data
        beta = beta - step / max(1.0, float(np.abs(step).max()) / 2.0)
        if np.abs(step).max() < 1e-8:
            break
    return beta


def fit_platt(logits: ArrayLike, is_fake: ArrayLike, weights: ArrayLike | None = None) -> Platt:
    """Fit Platt scaling to (N,) logits."""
    values = np.asarray(logits, np.float64)[:, None]
    slope, offset = fit_logistic(values, is_fake, np.ones(len(values)) if weights is None else weights)
    return Platt(slope=float(slope), offset=float(offset))


def threshold_at_fpr(real_probabilities: Sequence[float] | NDArray[np.float64], rate: float) -> float:
    """The smallest threshold at which at most `rate` of the genuine examples lie at or above it."""
    ordered = np.sort(np.asarray(real_probabilities, np.float64))[::-1]
    if len(ordered) == 0:
        raise InputError("a threshold needs genuine examples")
    allowed = int(np.floor(rate * len(ordered)))
    return float(min(np.nextafter(ordered[allowed], 2.0), 1.0)) if allowed < len(ordered) else 0.0
