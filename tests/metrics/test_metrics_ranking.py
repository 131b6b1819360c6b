"""Figures of the order of scores, against scikit-learn and against counting pairs."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from vidguard.errors import InputError
from vidguard.metrics import auc, auc_bounds, average_precision, det_curve, eer, roc_curve, tpr_at_fpr

Sample = tuple[list[bool], list[float]]
# few distinct values, so that ties are the rule
GRID = st.integers(-4, 4).map(float)


@st.composite
def samples(draw: Any) -> Sample:
    reals = draw(st.lists(GRID, min_size=1, max_size=12))
    fakes = draw(st.lists(GRID, min_size=1, max_size=12))
    mixed = draw(st.permutations([(False, s) for s in reals] + [(True, s) for s in fakes]))
    return [t for t, _ in mixed], [s for _, s in mixed]


def drawn(seed: int, reals: int = 60, fakes: int = 80, digits: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.permutation([False] * reals + [True] * fakes)
    return truth, (truth + rng.normal(0, 1.0, len(truth))).round(digits)


@settings(deadline=None)
@given(samples())
def test_auc_is_the_share_of_pairs_in_order(sample: Sample) -> None:
    truth, scores = sample
    fakes = [s for t, s in zip(truth, scores) if t]
    reals = [s for t, s in zip(truth, scores) if not t]
    pairs = [(f > r) + 0.5 * (f == r) for f, r in itertools.product(fakes, reals)]
    assert auc(truth, scores) == pytest.approx(sum(pairs) / len(pairs))


@settings(deadline=None)
@given(samples())
def test_only_the_order_counts_and_flipped_labels_mirror_the_auc(sample: Sample) -> None:
    truth, scores = sample
    stretched = [math.exp(s) + s**3 for s in scores]
    for figure in (auc, eer, average_precision):
        assert figure(truth, stretched) == figure(truth, scores)
    assert tpr_at_fpr(truth, stretched, 0.3) == tpr_at_fpr(truth, scores, 0.3)
    assert auc([not t for t in truth], scores) == pytest.approx(1 - auc(truth, scores))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("digits", [1, 9])
def test_curves_and_average_precision_equal_scikit_learns(seed: int, digits: int) -> None:
    truth, scores = drawn(seed, digits=digits)
    roc = roc_curve(truth, scores)
    fpr, tpr, thresholds = sk.roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(roc.fpr, fpr)
    np.testing.assert_allclose(roc.tpr, tpr)
    np.testing.assert_array_equal(roc.thresholds, thresholds)
    assert sk.auc(roc.fpr, roc.tpr) == pytest.approx(auc(truth, scores))
    assert average_precision(truth, scores) == pytest.approx(sk.average_precision_score(truth, scores))
    det = det_curve(truth, scores)
    for k in (0, 7, len(det.thresholds) - 1):
        assert det.fnr[k] == pytest.approx((scores[truth] < det.thresholds[k]).mean())
        assert det.fpr[k] == pytest.approx((scores[~truth] >= det.thresholds[k]).mean())


@pytest.mark.parametrize("seed", range(40))
def test_eer_is_the_benchmarks_formula_on_scikit_learns_curve(seed: int) -> None:
    truth, scores = drawn(seed, reals=31, fakes=90, digits=2)
    fpr, tpr, _ = sk.roc_curve(truth, scores)
    gap = np.abs((1 - tpr) - fpr).round(12)
    assert eer(truth, scores) == pytest.approx(fpr[np.argmin(gap)])


def test_eer_of_known_cases() -> None:
    assert eer([False, True], [0.1, 0.9]) == 0.0
    assert eer([False, True], [0.9, 0.1]) == 1.0
    assert eer([False, False, True, True], [0.1, 0.6, 0.4, 0.9]) == 0.5
    assert eer([False, True] * 10, [0.5] * 20) == 0.0, "all tied: FPR and FNR are (0, 1) or (1, 0), and the first wins"


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.05, 0.07, 0.29, 0.5, 1.0])
@pytest.mark.parametrize("digits", [1, 9])
def test_tpr_at_fpr_is_the_best_of_all_thresholds(rate: float, digits: int) -> None:
    truth, scores = drawn(3, reals=100, fakes=50, digits=digits)
    allowed = round(rate * 100)
    thresholds = [*scores, np.inf]
    best = max((scores[truth] >= t).mean() for t in thresholds if (scores[~truth] >= t).sum() <= allowed)
    assert tpr_at_fpr(truth, scores, rate) == pytest.approx(best)


def test_a_few_reals_leave_only_the_tpr_without_false_positives() -> None:
    truth = [False] * 10 + [True] * 4
    scores = [0.05] * 9 + [0.5] + [0.4, 0.6, 0.7, 0.5]
    assert tpr_at_fpr(truth, scores, 0.01) == tpr_at_fpr(truth, scores, 0.099) == 0.5
    assert tpr_at_fpr(truth, scores, 0.1) == 1.0


@settings(deadline=None)
@given(samples(), st.integers(0, 3), st.integers(0, 3))
def test_auc_bounds_are_reached_and_never_passed(sample: Sample, reals: int, fakes: int) -> None:
    truth, scores = sample
    low, high = auc_bounds(truth, scores, reals, fakes)
    everyone = truth + [False] * reals + [True] * fakes
    assert low == pytest.approx(auc(everyone, scores + [9.0] * reals + [-9.0] * fakes))
    assert high == pytest.approx(auc(everyone, scores + [-9.0] * reals + [9.0] * fakes))
    assert low - 1e-12 <= auc(everyone, scores + [0.0] * (reals + fakes)) <= high + 1e-12


def test_auc_bounds_where_little_or_nothing_is_decided() -> None:
    assert auc_bounds([], [], 3, 2) == (0.0, 1.0)
    assert auc_bounds([True], [0.3], 1, 0) == (0.0, 1.0)
    assert all(map(math.isnan, auc_bounds([True], [0.3], 0, 5)))
    with pytest.raises(InputError, match="negative"):
        auc_bounds([True], [0.3], -1, 0)


@pytest.mark.parametrize("truth", [[], [True, True], [False, False]])
def test_one_class_has_no_ranking(truth: list[bool]) -> None:
    scores = [0.2, 0.8][: len(truth)]
    assert math.isnan(auc(truth, scores))
    assert math.isnan(eer(truth, scores))
    assert math.isnan(average_precision(truth, scores))
    assert math.isnan(tpr_at_fpr(truth, scores, 0.05))
    roc = roc_curve(truth, scores)
    assert np.isnan(roc.tpr).all() == (not any(truth))
    assert np.isnan(roc.fpr).all() == all(truth)


@pytest.mark.parametrize(
    ("truth", "scores", "match"),
    [
        ([True, False], [0.5, math.nan], "undecided"),
        ([True, False], [0.5, math.inf], "finite"),
        ([True], [0.5, 0.1], "shape|\\(N,\\)"),
        ([[True]], [[0.5]], "\\(N,\\)"),
        ([1, -1], [0.5, 0.1], "0 \\(real\\) and 1"),
        (["real", "fake"], [0.5, 0.1], "0 \\(real\\) and 1"),
        ([1.0, math.nan], [0.5, 0.1], "0 \\(real\\) and 1"),
    ],
)
def test_what_is_no_label_or_score_is_refused(truth: list[Any], scores: list[Any], match: str) -> None:
    for figure in (auc, roc_curve, eer, average_precision):
        with pytest.raises(InputError, match=match):
            figure(truth, scores)


def test_a_rate_is_a_share() -> None:
    with pytest.raises(InputError, match="rate"):
        tpr_at_fpr([True, False], [1.0, 0.0], 5)
