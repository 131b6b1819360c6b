"""Whether stated probabilities hold, and what is gained by not deciding the unsure ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vidguard.errors import InputError
from vidguard.metrics.arrays import stated
from vidguard.metrics.intervals import wilson_interval


@dataclass(frozen=True)
class ReliabilityBin:
    """Items with neighbouring stated probabilities."""

    count: int
    mean_stated: float
    observed: float
    """Share of fakes."""
    interval: tuple[float, float]
    """95 % Wilson interval of the observed share, items taken as independent."""


@dataclass(frozen=True)
class RiskCoverage:
    """Error among the decided items as the band of undecided ones around 0.5 widens, (K,) each."""

    confidence: NDArray[np.float64]
    """Falling; max(p, 1 - p) that an item needs to be decided."""
    coverage: NDArray[np.float64]
    """Share decided, rising to 1."""
    error: NDArray[np.float64]
    """Share of wrong decisions at 0.5 among the decided; 1 - error is their accuracy."""


def expected_calibration_error(is_fake: ArrayLike, probabilities: ArrayLike, *, bins: int = 10) -> float:
    """ECE over equally filled bins (Nixon et al. 2019, adaptive): mean gap between stated and observed frequency.

    Equal probabilities share a bin, so the figure doesn't depend on the order of the items. NaN without items.
    """
    table = reliability(is_fake, probabilities, bins=bins)
    if not table:
        return float("nan")
    return sum(abs(row.observed - row.mean_stated) * row.count for row in table) / sum(row.count for row in table)


def reliability(is_fake: ArrayLike, probabilities: ArrayLike, *, bins: int = 10) -> tuple[ReliabilityBin, ...]:
    """Reliability diagram: observed against stated frequency, by rising probability.

    At most `bins` equally filled bins, none empty; equal probabilities share one. They are the bins of
    `expected_calibration_error`. Without items: (). Raises InputError for fewer than one bin.
    """
    if bins < 1:
        raise InputError(f"at least one bin is needed, got {bins}")
    truth, values = stated(is_fake, probabilities)
    order = np.argsort(values, kind="stable")
    return tuple(_row(truth[part], values[part]) for part in _parts(order, values[order], bins))


def _parts(order: NDArray[np.intp], ordered: NDArray[np.float64], bins: int) -> list[NDArray[np.intp]]:
    """Cut into equal counts, each cut moved to the start of the equal values that it would divide."""
    if len(order) == 0:
        return []
    starts = [int(part[0]) for part in np.array_split(np.arange(len(order)), bins) if len(part)]
    cuts = np.unique(np.searchsorted(ordered, ordered[starts], side="left"))
    return np.split(order, cuts[1:])


def _row(truth: NDArray[np.bool_], values: NDArray[np.float64]) -> ReliabilityBin:
    return ReliabilityBin(
        count=len(truth),
        mean_stated=float(values.mean()),
        observed=float(truth.mean()),
        interval=wilson_interval(int(truth.sum()), len(truth)),
    )


def risk_coverage(is_fake: ArrayLike, probabilities: ArrayLike) -> RiskCoverage:
    """Risk-coverage curve (El-Yaniv & Wiener 2010): a point for each confidence, items of equal confidence together.

    Without items the arrays are empty.
    """
    truth, values = stated(is_fake, probabilities)
    # rounded: 1 - 0.07 isn't 0.93 to the last bit, and as sure is as sure
    confidence = np.maximum(values, 1 - values).round(12)
    levels, counts = np.unique(confidence, return_counts=True)
    wrong = np.bincount(np.searchsorted(levels, confidence), (values >= 0.5) != truth, minlength=len(levels))
    decided, errors = np.cumsum(counts[::-1]), np.cumsum(wrong[::-1])
    return RiskCoverage(confidence=levels[::-1], coverage=decided / max(len(truth), 1), error=errors / decided)
