"""Figures of merit with bootstrap intervals over sources."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def auc(is_fake: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a fake scores above a real one, ties counting half (Mann-Whitney).

    NaN when one class is missing.
    """
    truth, values = np.asarray(is_fake, bool), np.asarray(scores, np.float64)
    fakes, reals = int(truth.sum()), int((~truth).sum())
    if fakes == 0 or reals == 0:
        return float("nan")
    order = np.sort(values)
    below = np.searchsorted(order, values, side="left")
    upto = np.searchsorted(order, values, side="right")
    ranks = (below + upto + 1) / 2
    return float((ranks[truth].sum() - fakes * (fakes + 1) / 2) / (fakes * reals))


def bootstrap_auc(
    is_fake: ArrayLike, scores: ArrayLike, groups: Sequence[str], *, rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of the AUC, resampling whole groups (sources) with replacement."""
    truth, values = np.asarray(is_fake, bool), np.asarray(scores, np.float64)
    names, inverse = np.unique(np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(inverse == g) for g in range(len(names))]
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(rounds):
        chosen = np.concatenate([members[g] for g in rng.integers(0, len(members), len(members))])
        samples.append(auc(truth[chosen], values[chosen]))
    low, high = np.nanpercentile(samples, [2.5, 97.5])
    return float(low), float(high)


def expected_calibration_error(is_fake: ArrayLike, probabilities: ArrayLike, *, bins: int = 10) -> float:
    """ECE over equally filled bins (Nixon et al. 2019, adaptive): mean gap between stated and observed frequency."""
    truth = np.asarray(is_fake, np.float64)
    stated = np.asarray(probabilities, np.float64)
    parts: list[NDArray[np.int64]] = np.array_split(np.argsort(stated, kind="stable"), bins)
    gaps = [abs(truth[p].mean() - stated[p].mean()) * len(p) for p in parts if len(p)]
    return float(sum(gaps) / len(stated))
