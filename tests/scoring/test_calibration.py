"""Calibration, decisions and metrics, each against something computed another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from vidguard.errors import InputError
from vidguard.metrics import auc, bootstrap_auc, expected_calibration_error
from vidguard.scoring.calibration import (
    Band,
    GenuineScores,
    Platt,
    fit_genuine_scores,
    fit_logistic,
    fit_platt,
    flag_from,
    genuine_below,
)


def test_platt_recovers_the_scaling_that_made_the_labels() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, 20_000)
    labels = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * logits - 1.0)))
    platt = fit_platt(logits, labels)
    assert platt.slope == pytest.approx(0.5, abs=0.03)
    assert platt.offset == pytest.approx(-1.0, abs=0.06)
    assert platt(-1e6) == 0.0
    assert platt(1e6) == 1.0


def test_logistic_regression_equals_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3000, 3))
    y = rng.random(3000) < 1 / (1 + np.exp(-(x @ [1.0, -2.0, 0.3] + 0.4)))
    ours = fit_logistic(x, y, np.ones(3000), ridge=1e-9)
    theirs = LogisticRegression(C=1e9, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(ours, [*theirs.coef_[0], theirs.intercept_[0]], atol=0.02)


def test_calibration_needs_both_classes_and_keeps_the_order() -> None:
    with pytest.raises(InputError):
        fit_platt([1.0, 2.0], [True, True])
    with pytest.raises(ValueError, match="slope"):
        Platt(slope=-1.0, offset=0.0)


def test_auc_equals_scikit_learns_with_ties() -> None:
    rng = np.random.default_rng(2)
    scores, truth = rng.integers(0, 6, 500) / 5, rng.random(500) < 0.4
    assert auc(truth, scores) == pytest.approx(roc_auc_score(truth, scores))
    assert math.isnan(auc([True, True], [0.1, 0.2]))


def test_bootstrap_resamples_whole_groups() -> None:
    truth, scores = [True, False] * 50, [0.9, 0.1] * 50
    assert bootstrap_auc(truth, scores, ["one"] * 100) == (1.0, 1.0)
    rng = np.random.default_rng(0)
    noisy = np.asarray(truth) + rng.normal(0, 1.0, 100)
    fine = bootstrap_auc(truth, noisy, [str(i) for i in range(100)])
    coarse = bootstrap_auc(truth, noisy, [str(i // 20) for i in range(100)])
    assert fine[0] < auc(truth, noisy) < fine[1]
    assert fine != coarse


def test_calibration_error_of_a_known_case() -> None:
    assert expected_calibration_error([1, 0] * 50, [0.5] * 100) == pytest.approx(0.0)
    assert expected_calibration_error([0] * 100, [0.3] * 100) == pytest.approx(0.3)


def grid(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 1).round(5)


def test_a_threshold_is_the_smallest_that_keeps_the_rate_with_one_source_more_above_all() -> None:
    rng = np.random.default_rng(3)
    scores = grid(rng.random(199))
    names = [str(i) for i in range(199)]
    threshold = flag_from(scores, names, 0.05)
    # plain split conformal: the ceil((n + 1)(1 - rate))-th smallest is the last that isn't flagged
    assert threshold == pytest.approx(np.sort(scores)[math.ceil(200 * 0.95) - 1] + 1e-5)
    assert (1 + (scores >= threshold).sum()) / 200 <= 0.05 < (1 + (scores >= round(threshold - 1e-5, 5)).sum()) / 200
    assert genuine_below(scores, names, 0.05) == pytest.approx(
        round(1 - flag_from(grid(1 - scores), names, 0.05) + 1e-5, 5)
    )


def test_too_few_sources_promise_nothing_and_are_told_how_many_it_takes() -> None:
    scores = grid(np.linspace(0.1, 0.9, 18))
    names = [str(i) for i in range(18)]
    with pytest.raises(InputError, match="at least 19"):
        flag_from(scores, names, 0.05)
    assert flag_from([*scores, 0.5], [*names, "more"], 0.05) == pytest.approx(0.90001)
    assert flag_from(scores, names, 0.06, promise=False) == pytest.approx(np.sort(scores)[-2] + 1e-5)
    with pytest.raises(InputError, match="at least 99"):
        genuine_below(scores, names, 0.01)
    with pytest.raises(InputError, match="0 sources"):
        flag_from([], [], 0.5, promise=False)
    with pytest.raises(InputError, match="between 0 and 1"):
        flag_from(scores, names, 0.0)
    assert flag_from([1.0] * 40, [str(i) for i in range(40)], 0.05) > 1  # nothing can be flagged


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_the_promise_holds_for_new_sources_however_alike_and_many_a_sources_scores_are(rate: float) -> None:
    rng = np.random.default_rng(4)
    flagged = []
    for _ in range(250):
        level = rng.normal(0, 1, 41)  # what a source's scores have in common
        sizes = np.where(rng.random(41) < 0.2, 60, 1)
        scores = [grid(1 / (1 + np.exp(-(mean + rng.normal(0, 0.3, size))))) for mean, size in zip(level, sizes)]
        known, names = np.concatenate(scores[:40]), np.repeat(np.arange(40), sizes[:40]).astype(str)
        new = rng.choice(scores[40])
        flagged.append(new >= flag_from(known, names, rate))
    # 250 draws: two standard errors
    assert np.mean(flagged) <= rate + 2 * math.sqrt(rate * (1 - rate) / 250)
    assert np.mean(flagged) > rate / 2


def test_a_band_decides_by_its_bounds_even_where_they_cross() -> None:
    band = Band(genuine_below=0.2, manipulated_from=0.7)
    assert [band.label(p) for p in (0.19, 0.2, 0.69999, 0.7)] == ["genuine", "undecided", "undecided", "manipulated"]
    crossed = Band(genuine_below=0.7, manipulated_from=0.2)
    assert [crossed.label(p) for p in (0.19, 0.2, 0.8)] == ["genuine", "manipulated", "manipulated"]


def test_the_best_of_many_chances_is_as_rare_as_it_was() -> None:
    standard = GenuineScores(tuple(math.log((1 - t) / t) for t in (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)))
    for logit in (0.0, 1.386294, 2.944439, 4.59512):
        assert standard.best_of(logit, 1.0) == logit
    # at the table's own points F is exact: .99 is what .99 ** .5 becomes for two chances, and so on
    for chances in (2, 3, 10.5):
        logit = GenuineScores().best_of(4.59512, chances)
        share = 0.99**chances
        assert logit == pytest.approx(math.log(share / (1 - share)), abs=0.06)
    logits = np.linspace(-30, 80, 400)
    for chances in (1.0, 1.5, 40.0, 1e6):
        corrected = np.array([standard.best_of(x, chances) for x in logits])
        assert (np.diff(corrected) > 0).all()
        assert (corrected <= logits + 1e-9).all()
        assert np.isfinite(corrected).all()
    assert standard.best_of(5.0, 10.0) < standard.best_of(5.0, 2.0)


def test_genuine_scores_are_read_off_sources_and_not_off_examples() -> None:
    rng = np.random.default_rng(5)
    logits, names = rng.normal(-1, 2, 5000), [str(i) for i in range(5000)]
    fitted = fit_genuine_scores(logits, names)
    np.testing.assert_allclose(fitted.logits, np.quantile(logits, [0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995]), atol=0.05)
    louder = fit_genuine_scores([*logits, *[9.0] * 5000], [*names, *["one"] * 5000])
    np.testing.assert_allclose(louder.logits, fitted.logits, atol=0.1)
    saturated = fit_genuine_scores(np.minimum(logits, 2.0), names)
    assert saturated.logits == (*fitted.logits[:3], 2.0)
    assert len(fit_genuine_scores(logits[:50], names[:50]).logits) == 4  # two of fifty are .04: .02 isn't known
    assert fit_genuine_scores(logits[:9], names[:9]) == GenuineScores()
    assert fit_genuine_scores([1.0] * 100, names[:100]) == GenuineScores()
    with pytest.raises(ValueError, match="rising"):
        GenuineScores((1.0, 1.0))
