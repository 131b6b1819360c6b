"""Calibration error, reliability diagram and abstention, against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vidguard.errors import InputError
from vidguard.metrics import expected_calibration_error, reliability, risk_coverage


def sample(seed: int, count: int, digits: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probs = rng.random(count).round(digits)
    return rng.random(count) < probs**2, probs


@pytest.mark.parametrize("count", [3, 10, 11, 997])
def test_the_error_of_untied_probabilities_is_that_of_equally_filled_bins(count: int) -> None:
    truth, probs = sample(0, count, 12)
    parts = np.array_split(np.argsort(probs), 10)
    gaps = [abs(truth[p].mean() - probs[p].mean()) * len(p) for p in parts if len(p)]
    assert expected_calibration_error(truth, probs) == pytest.approx(sum(gaps) / count)
    assert [row.count for row in reliability(truth, probs)] == [len(p) for p in parts if len(p)]


def test_the_order_of_items_changes_nothing() -> None:
    truth, probs = sample(1, 400, 1)
    first = np.argsort(~truth, kind="stable")
    assert expected_calibration_error(truth[first], probs[first]) == pytest.approx(
        expected_calibration_error(truth, probs)
    )
    assert expected_calibration_error([True] * 50 + [False] * 50, [0.5] * 100) == 0.0


def test_rows_hold_all_items_of_equal_probability_and_give_the_error() -> None:
    truth, probs = sample(2, 500, 1)
    table = reliability(truth, probs, bins=7)
    assert sum(row.count for row in table) == 500
    assert len(table) <= 7
    start = 0
    ordered = np.sort(probs)
    for row in table:
        inside = ordered[start : start + row.count]
        members = (probs >= inside[0]) & (probs <= inside[-1])
        assert members.sum() == row.count, "a probability stands in two bins"
        assert row.mean_stated == pytest.approx(probs[members].mean())
        assert row.observed == pytest.approx(truth[members].mean())
        assert row.interval[0] <= row.observed <= row.interval[1]
        start += row.count
    error = sum(row.count * abs(row.observed - row.mean_stated) for row in table) / 500
    assert expected_calibration_error(truth, probs, bins=7) == pytest.approx(error)


def test_risk_falls_as_the_unsure_are_left_out() -> None:
    truth = [True, False, True, False, True, False]
    probs = [0.99, 0.01, 0.9, 0.3, 0.3, 0.6]
    curve = risk_coverage(truth, probs)
    np.testing.assert_allclose(curve.confidence, [0.99, 0.9, 0.7, 0.6])
    np.testing.assert_allclose(curve.coverage, [2 / 6, 3 / 6, 5 / 6, 1])
    np.testing.assert_allclose(curve.error, [0, 0, 1 / 5, 2 / 6])


@pytest.mark.parametrize("digits", [1, 2, 12])
def test_every_point_of_the_curve_is_the_error_of_a_band(digits: int) -> None:
    truth, probs = sample(3, 200, digits)
    curve = risk_coverage(truth, probs)
    for confidence, coverage, error in zip(curve.confidence, curve.coverage, curve.error):
        # wider by less than the grid of the probabilities, as 1 - p may round either way
        decided = (probs >= confidence - 1e-13) | (probs <= 1 - confidence + 1e-13)
        assert coverage == pytest.approx(decided.mean())
        assert error == pytest.approx(((probs >= 0.5) != truth)[decided].mean())
    assert curve.coverage[-1] == 1.0


def test_without_items_nothing_is_stated() -> None:
    assert math.isnan(expected_calibration_error([], []))
    assert reliability([], []) == ()
    assert len(risk_coverage([], []).coverage) == 0


def test_logits_and_empty_diagrams_are_refused() -> None:
    for figure in (expected_calibration_error, reliability, risk_coverage):
        with pytest.raises(InputError, match="probabilities"):
            figure([True], [-2.0])
    with pytest.raises(InputError, match="bin"):
        reliability([True], [0.5], bins=0)
