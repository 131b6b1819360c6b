"""Figures that only look at the order of scores: ROC, AUC, EER, average precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vidguard.errors import InputError
from vidguard.metrics.arrays import labelled, midranks


@dataclass(frozen=True)
class Roc:
    """Points of a ROC curve, (K,) each, from (0, 0) to (1, 1) with falling thresholds."""

    fpr: NDArray[np.float64]
    """Share of real items at or above the threshold; NaN where there are none."""
    tpr: NDArray[np.float64]
    """Share of fake items at or above the threshold; NaN where there are none."""
    thresholds: NDArray[np.float64]
    """The first is infinite: above every score."""


@dataclass(frozen=True)
class Det:
    """Points of a detection error trade-off curve, (K,) each, with falling thresholds."""

    fpr: NDArray[np.float64]
    fnr: NDArray[np.float64]
    """Share of fake items below the threshold."""
    thresholds: NDArray[np.float64]


@dataclass(frozen=True)
class _Counts:
    """Reals and fakes at or above each distinct score, from the highest score down; (K,) each."""

    reals: NDArray[np.int64]
    fakes: NDArray[np.int64]
    thresholds: NDArray[np.float64]

    @property
    def one_class(self) -> bool:
        return len(self.reals) == 0 or self.reals[-1] == 0 or self.fakes[-1] == 0


def auc(is_fake: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a fake scores above a real one, ties counting half (Mann-Whitney).

    NaN when one class is missing.
    """
    truth, values = labelled(is_fake, scores)
    fakes, reals = int(truth.sum()), int((~truth).sum())
    if fakes == 0 or reals == 0:
        return float("nan")
    return float((midranks(values)[truth].sum() - fakes * (fakes + 1) / 2) / (fakes * reals))


def auc_bounds(is_fake: ArrayLike, scores: ArrayLike, undecided_real: int, undecided_fake: int) -> tuple[float, float]:
    """Lowest and highest AUC that any scores for the undecided items could give.

    is_fake, scores: the decided items; the counts are those of the items without a decision. The lowest puts
    undecided reals above everything and undecided fakes below, the highest the other way round. NaN when a class has
    no item at all, decided or not.
    """
    truth, values = labelled(is_fake, scores)
    if undecided_real < 0 or undecided_fake < 0:
        raise InputError(f"counts of undecided items can't be negative: {undecided_real}, {undecided_fake}")
    fakes, reals = int(truth.sum()), int((~truth).sum())
    decided, pairs = fakes * reals, (fakes + undecided_fake) * (reals + undecided_real)
    if pairs == 0:
        return float("nan"), float("nan")
    won = auc(truth, values) * decided if decided else 0.0
    return won / pairs, (won + pairs - decided) / pairs


def roc_curve(is_fake: ArrayLike, scores: ArrayLike) -> Roc:
    """ROC curve with a point for every distinct score; an item at the threshold counts as fake (Fawcett 2006)."""
    counts = _counts(is_fake, scores)
    with np.errstate(invalid="ignore"):
        fpr, tpr = (np.append(0, n) / np.append(0, n)[-1] for n in (counts.reals, counts.fakes))
    return Roc(fpr, tpr, np.append(np.inf, counts.thresholds))


def det_curve(is_fake: ArrayLike, scores: ArrayLike) -> Det:
    """DET curve with a point for every distinct score (Martin et al., Eurospeech 1997).

    Both rates are drawn on normal-deviate axes, where 0 and 1 have no place: a plot leaves those points out.
    """
    roc = roc_curve(is_fake, scores)
    return Det(roc.fpr, 1 - roc.tpr, roc.thresholds)


def eer(is_fake: ArrayLike, scores: ArrayLike) -> float:
    """Equal error rate as DeepfakeBench gives it: FPR where |FNR - FPR| is least, without interpolation.

    NaN when one class is missing. The first of equals wins. Only the thresholds count that scikit-learn's ROC keeps by
    default, as there: within a straight run of the curve the two ends alone, so that a small or lopsided set can give
    a figure that lies a few items off the crossing (up to 0.02 for 140 + 140 items, in simulation).
    """
    counts = _counts(is_fake, scores)
    if counts.one_class:
        return float("nan")
    corner = (np.diff(counts.reals, 2) != 0) | (np.diff(counts.fakes, 2) != 0)
    kept = np.concatenate([[True], corner, [True]]) if len(counts.reals) > 2 else np.ones(len(counts.reals), bool)
    false_positives, true_positives = np.append(0, counts.reals[kept]), np.append(0, counts.fakes[kept])
    reals, fakes = int(counts.reals[-1]), int(counts.fakes[-1])
    # whole numbers: |FNR - FPR| times reals times fakes, so that equal gaps are equal
    gap = np.abs((fakes - true_positives) * reals - false_positives * fakes)
    return float(false_positives[np.argmin(gap)] / reals)


def average_precision(is_fake: ArrayLike, scores: ArrayLike) -> float:
    """Precision at each threshold, weighted by the recall it gains: a sum of steps, no trapezoids.

    Depends on the share of fakes, so it compares only within one data set. NaN when one class is missing.
    """
    counts = _counts(is_fake, scores)
    if counts.one_class:
        return float("nan")
    precision = counts.fakes / (counts.fakes + counts.reals)
    gained = np.diff(counts.fakes, prepend=0)
    return float((precision * gained).sum() / counts.fakes[-1])


def tpr_at_fpr(is_fake: ArrayLike, scores: ArrayLike, rate: float) -> float:
    """Largest TPR of any threshold whose FPR is at most `rate`; no interpolation between thresholds.

    With fewer than 1 / rate reals that is the TPR without any false positive. NaN when one class is missing. Raises
    InputError for a rate outside [0, 1].
    """
    if not 0 <= rate <= 1:
        raise InputError(f"rate must lie in [0, 1], got {rate}")
    roc = roc_curve(is_fake, scores)
    if np.isnan(roc.fpr[-1]) or np.isnan(roc.tpr[-1]):
        return float("nan")
    return float(roc.tpr[roc.fpr <= rate].max())


def _counts(is_fake: ArrayLike, scores: ArrayLike) -> _Counts:
    truth, values = labelled(is_fake, scores)
    order = np.argsort(-values, kind="stable")
    truth, values = truth[order], values[order]
    last_of_equals = np.flatnonzero(np.append(values[1:] != values[:-1], True)[: len(values)])
    return _Counts(
        reals=np.cumsum(~truth, dtype=np.int64)[last_of_equals],
        fakes=np.cumsum(truth, dtype=np.int64)[last_of_equals],
        thresholds=values[last_of_equals],
    )
