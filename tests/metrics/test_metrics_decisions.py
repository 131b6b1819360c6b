"""Decisions at a threshold and the log loss, against scikit-learn and published rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from vidguard.errors import InputError
from vidguard.metrics import accuracy, balanced_accuracy, log_loss, log_weighted_precision, weighted_precision


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_accuracies_equal_scikit_learns(threshold: float) -> None:
    rng = np.random.default_rng(0)
    truth, scores = rng.random(200) < 0.2, rng.random(200).round(1)
    assert accuracy(truth, scores, threshold) == pytest.approx(sk.accuracy_score(truth, scores >= threshold))
    expected = sk.balanced_accuracy_score(truth, scores >= threshold)
    assert balanced_accuracy(truth, scores, threshold) == pytest.approx(expected)


def test_a_score_at_the_threshold_is_fake() -> None:
    assert accuracy([True], [0.5]) == 1.0
    assert balanced_accuracy([True, False], [0.5, 0.5]) == 0.5


def test_log_loss_equals_scikit_learns_with_and_without_the_competitions_clip() -> None:
    rng = np.random.default_rng(1)
    truth, probs = rng.random(300) < 0.5, rng.random(300)
    probs[:40] = np.array([0.0, 1.0] * 20)
    assert log_loss(truth[40:], probs[40:]) == pytest.approx(sk.log_loss(truth[40:], probs[40:]))
    expected = sk.log_loss(truth, np.clip(probs, 0.01, 0.99))
    assert log_loss(truth, probs, clip=(0.01, 0.99)) == pytest.approx(expected)


def test_log_loss_at_the_ends() -> None:
    assert log_loss([True, False], [1.0, 0.0]) == 0.0
    assert log_loss([True, False], [0.0, 0.0]) == math.inf
    assert log_loss([False], [1.0], clip=(0.01, 0.99)) == pytest.approx(-math.log(0.01))
    assert log_loss([True, False], [0.5, 0.5]) == pytest.approx(math.log(2))


@pytest.mark.parametrize(("true_positives", "false_positives", "log_wp"), [(833, 167, -3.044), (784, 216, -3.352)])
def test_weighted_precision_gives_the_published_rows(true_positives: int, false_positives: int, log_wp: float) -> None:
    # TamperNet and XceptionNet (full) of the DFDC preview, from their precision of .833 and .784
    truth = [True] * true_positives + [False] * false_positives + [True, False] * 50
    scores = [0.9] * (true_positives + false_positives) + [0.1] * 100
    assert log_weighted_precision(truth, scores) == pytest.approx(log_wp, abs=0.005)
    assert weighted_precision(truth, scores) == pytest.approx(math.exp(log_wp), rel=0.005)


def test_weighted_precision_at_the_ends() -> None:
    assert weighted_precision([True, False], [0.9, 0.1]) == 1.0
    assert log_weighted_precision([True, False], [0.9, 0.1]) == 0.0
    assert log_weighted_precision([True, False], [0.1, 0.9]) == -math.inf
    assert math.isnan(weighted_precision([True, False], [0.1, 0.2]))
    assert math.isnan(log_weighted_precision([True, False], [0.1, 0.2]))
    assert weighted_precision([True, False], [0.9, 0.9], alpha=1.0) == 0.5


def test_undefined_is_nan() -> None:
    assert math.isnan(accuracy([], []))
    assert math.isnan(log_loss([], []))
    assert math.isnan(balanced_accuracy([True, True], [0.1, 0.9]))


def test_what_means_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="calibration"):
        log_loss([True], [3.2])
    with pytest.raises(InputError, match="clip"):
        log_loss([True], [0.5], clip=(0.99, 0.01))
    with pytest.raises(InputError, match="alpha"):
        weighted_precision([True], [0.5], alpha=0)
    with pytest.raises(InputError, match="undecided"):
        accuracy([True], [math.nan])
