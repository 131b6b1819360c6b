"""What every figure is computed from: checked labels and scores, and their ranks."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vidguard.errors import InputError

Z_95: Final = 1.959963984540054
"""97.5 % quantile of the normal distribution: half the width of a 95 % interval in standard errors."""


def labelled(is_fake: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Check and convert: (N,) labels, bool or 0 and 1, and (N,) finite scores.

    Raises InputError otherwise: a NaN that stands for "no decision" must not be ranked among the scores, and labels
    such as -1 and 1 would all be fake.
    """
    labels, values = np.asarray(is_fake), np.asarray(scores, np.float64)
    if labels.ndim != 1 or labels.shape != values.shape:
        raise InputError(f"labels and scores must be (N,) each, got {labels.shape} and {values.shape}")
    if labels.dtype != bool and not np.isin(labels, (0, 1)).all():
        raise InputError("labels must be bool or 0 (real) and 1 (fake)")
    if not np.isfinite(values).all():
        raise InputError("scores must be finite; leave undecided items out and report how many there are")
    return labels.astype(bool), values


def stated(is_fake: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Same as `labelled` for probabilities; raises InputError outside [0, 1] as well."""
    truth, values = labelled(is_fake, probabilities)
    if ((values < 0) | (values > 1)).any():
        raise InputError("probabilities must lie in [0, 1]; logits need calibration first")
    return truth, values


def midranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, equal values sharing the mean of theirs: whole and half numbers, exact."""
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, side="left")
    upto = np.searchsorted(ordered, values, side="right")
    ranks: NDArray[np.float64] = (below + upto + 1) / 2
    return ranks
