"""Calibration, metrics and the verdict, each against something computed another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from vidguard.calibration import Platt, fit_logistic, fit_platt, threshold_at_fpr
from vidguard.detector.verdict import track_logit, video_logit
from vidguard.errors import InputError
from vidguard.metrics import auc, bootstrap_auc, expected_calibration_error
from vidguard.segments import ScoredStretch


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


def test_threshold_keeps_the_stated_rate() -> None:
    genuine = np.linspace(0, 0.9, 101)
    threshold = threshold_at_fpr(genuine, 0.05)
    assert (genuine >= threshold).mean() <= 0.05
    assert (genuine >= threshold - 0.02).mean() > 0.05


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


def stretches(logits: list[float], start: float = 0.0) -> list[ScoredStretch]:
    return [ScoredStretch(start + i, start + i + 1, logit, 8, ()) for i, logit in enumerate(logits)]


def test_a_tracks_logit_neither_dilutes_nor_grows_with_length() -> None:
    assert track_logit(stretches([2.0, 2.0])) == pytest.approx(2.0)
    assert track_logit(stretches([4.0, -4.0])) == pytest.approx(4.0)
    assert track_logit(stretches([4.0, 2.0, -4.0])) == pytest.approx((4.0 + 0.5 * 2.0) / 1.5)
    assert track_logit(stretches([1.0, -1.0] * 20)) == pytest.approx(track_logit(stretches([1.0, -1.0])))


def test_a_passer_by_does_not_decide_and_no_face_gives_no_number() -> None:
    main, glimpse = stretches([-3.0] * 8), stretches([5.0])
    assert video_logit({0: main, 1: glimpse}) == pytest.approx(-3.0)
    assert video_logit({0: main, 1: stretches([5.0] * 8)}) == pytest.approx(5.0)
    assert video_logit({}) is None


def test_a_long_genuine_shot_does_not_outvote_a_forged_one() -> None:
    assert video_logit({0: stretches([-5.0] * 60), 1: stretches([6.0] * 5)}) == pytest.approx(6.0)
