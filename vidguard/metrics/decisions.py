"""Figures of decisions at a threshold, a score at it counting as fake, and the log loss."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from vidguard.errors import InputError
from vidguard.metrics.arrays import labelled, stated


def accuracy(is_fake: ArrayLike, scores: ArrayLike, threshold: float = 0.5) -> float:
    """Share of right decisions. It rewards guessing the larger class: see `balanced_accuracy`. NaN without items."""
    truth, values = labelled(is_fake, scores)
    return float(((values >= threshold) == truth).mean()) if len(truth) else float("nan")


def balanced_accuracy(is_fake: ArrayLike, scores: ArrayLike, threshold: float = 0.5) -> float:
    """Mean of the shares of right decisions among fakes and among reals. NaN when one class is missing."""
    truth, values = labelled(is_fake, scores)
    if truth.all() or not truth.any():
        return float("nan")
    found = values >= threshold
    return float((found[truth].mean() + (~found[~truth]).mean()) / 2)


def log_loss(is_fake: ArrayLike, probabilities: ArrayLike, clip: tuple[float, float] | None = None) -> float:
    """Mean negative natural logarithm of the probability given to the truth.

    clip: range that probabilities are forced into first, (0.01, 0.99) in the DFDC competition (Dolhansky et al. 2020);
    without it one wrong answer given with certainty makes the figure infinite, as it should. NaN without items.
    """
    truth, values = stated(is_fake, probabilities)
    if clip is not None:
        if not 0 <= clip[0] < clip[1] <= 1:
            raise InputError(f"clip must be a range in [0, 1], got {clip}")
        values = np.clip(values, *clip)
    if len(truth) == 0:
        return float("nan")
    with np.errstate(divide="ignore"):
        return float(-np.log(np.where(truth, values, 1 - values)).mean())


def weighted_precision(is_fake: ArrayLike, scores: ArrayLike, threshold: float = 0.5, alpha: float = 100.0) -> float:
    """DFDC's estimate of the precision where fakes are rare: TP / (TP + alpha FP) (Dolhansky et al. 2019).

    alpha: how many times rarer fakes are in the wild than in the set; DFDC takes 100. NaN when nothing is called fake.
    """
    if not alpha > 0:
        raise InputError(f"alpha must be positive, got {alpha}")
    truth, values = labelled(is_fake, scores)
    found = values >= threshold
    true_positives, false_positives = int((found & truth).sum()), int((found & ~truth).sum())
    if not found.any():
        return float("nan")
    return true_positives / (true_positives + alpha * false_positives)


def log_weighted_precision(
    is_fake: ArrayLike, scores: ArrayLike, threshold: float = 0.5, alpha: float = 100.0
) -> float:
    """Natural logarithm of `weighted_precision`, the form that DFDC's tables print; -inf where all calls are wrong."""
    value = weighted_precision(is_fake, scores, threshold, alpha)
    return -math.inf if value == 0 else math.log(value)
