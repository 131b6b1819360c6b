"""One detector against another on the same items."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vidguard.metrics.arrays import Z_95, labelled, midranks
from vidguard.metrics.intervals import Statistic, percentile_interval, resamples
from vidguard.metrics.ranking import auc


@dataclass(frozen=True)
class DeLong:
    """Two AUCs on the same items, and whether they differ."""

    auc_a: float
    auc_b: float
    difference: float
    """auc_a - auc_b."""
    interval: tuple[float, float]
    """95 % interval of the difference, by the normal approximation."""
    p_value: float
    """Two-sided, of the AUCs being equal."""


def delong(is_fake: ArrayLike, scores_a: ArrayLike, scores_b: ArrayLike) -> DeLong:
    """Paired test of two AUCs (DeLong et al. 1988), from midranks (Sun & Xu 2014).

    Items are taken as independent: several videos of one source or person make the interval too narrow and p too
    small; `bootstrap_difference` takes groups. Two detectors that agree on every pair of a real and a fake give p = 1.
    Interval and p are NaN with fewer than two items in a class, and where detectors differ but the data show no
    variance (one puts every pair right, the other every pair wrong).
    """
    truth, a = labelled(is_fake, scores_a)
    _, b = labelled(is_fake, scores_b)
    auc_a, auc_b = auc(truth, a), auc(truth, b)
    difference, error = auc_a - auc_b, _standard_error(truth, a, b)
    if error > 0:
        interval = (difference - Z_95 * error, difference + Z_95 * error)
        p_value = math.erfc(abs(difference) / error / math.sqrt(2))
    elif error == 0 and difference == 0:
        interval, p_value = (0.0, 0.0), 1.0
    else:
        interval, p_value = (math.nan, math.nan), math.nan
    return DeLong(auc_a, auc_b, difference, interval, p_value)


def bootstrap_difference(
    statistic: Statistic,
    is_fake: ArrayLike,
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    groups: Sequence[str],
    *,
    rounds: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % percentile interval of statistic(a) - statistic(b), both on the same resampled groups in every round.

    Groups and undefined rounds are as in `bootstrap`.
    """
    truth, a = labelled(is_fake, scores_a)
    _, b = labelled(is_fake, scores_b)
    return percentile_interval(
        statistic(truth[i], a[i]) - statistic(truth[i], b[i]) for i in resamples(len(truth), groups, rounds, seed)
    )


def _standard_error(truth: NDArray[np.bool_], a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Standard error of the difference; NaN with fewer than two items in a class."""
    fakes, reals = int(truth.sum()), int((~truth).sum())
    if min(fakes, reals) < 2:
        return math.nan
    wins_a, wins_b = _wins(truth, a), _wins(truth, b)
    # the variance of the per-item differences is that of both AUCs less twice their covariance; the wins are whole and
    # half numbers, so no rounding hides a variance of zero
    return math.sqrt(
        float((wins_a - wins_b)[truth].var(ddof=1)) / reals**2 / fakes
        + float((wins_a - wins_b)[~truth].var(ddof=1)) / fakes**2 / reals
    )


def _wins(truth: NDArray[np.bool_], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each fake the number of reals below it, for each real the number of fakes above it, ties counting half."""
    among_all = midranks(values)
    wins = np.empty(len(values))
    wins[truth] = among_all[truth] - midranks(values[truth])
    wins[~truth] = truth.sum() - (among_all[~truth] - midranks(values[~truth]))
    return wins
