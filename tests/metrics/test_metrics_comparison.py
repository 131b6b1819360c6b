"""DeLong's test against its definition, against chance, and against the bootstrap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from vidguard.errors import InputError
from vidguard.metrics import DeLong, accuracy, auc, bootstrap_auc, bootstrap_difference, delong


def pair(
    rng: np.random.Generator, count: int = 60, gain: float = 0.0, digits: int = 9
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two detectors that see the same half of the difficulty."""
    truth = rng.permutation([True] * (count // 3) + [False] * (count - count // 3))
    shared = rng.normal(size=count)
    a = truth * (1.0 + gain) + (shared + rng.normal(size=count)) / math.sqrt(2)
    b = truth * 1.0 + (shared + rng.normal(size=count)) / math.sqrt(2)
    return truth, a.round(digits), b.round(digits)


def by_definition(truth: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Difference and p, from the (m, n) table of wins and its covariances as DeLong et al. write them."""
    v10, v01 = [], []
    for scores in (a, b):
        x, y = scores[truth][:, None], scores[~truth][None]
        wins = (x > y) + 0.5 * (x == y)
        v10.append(wins.mean(1))
        v01.append(wins.mean(0))
    s = np.cov(v10) / truth.sum() + np.cov(v01) / (~truth).sum()
    difference = float(v10[0].mean() - v10[1].mean())
    error = math.sqrt(s[0, 0] + s[1, 1] - 2 * s[0, 1])
    return difference, float(2 * norm.sf(abs(difference) / error))


@pytest.mark.parametrize("digits", [0, 1, 9])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_definition_ties_or_not(seed: int, digits: int) -> None:
    truth, a, b = pair(np.random.default_rng(seed), gain=0.4, digits=digits)
    result = delong(truth, a, b)
    difference, p_value = by_definition(truth, a, b)
    assert result.auc_a == auc(truth, a)
    assert result.auc_b == auc(truth, b)
    assert result.difference == pytest.approx(difference)
    assert result.p_value == pytest.approx(p_value)
    # the interval leaves 0 out exactly where p is below .05
    assert (result.interval[0] <= 0 <= result.interval[1]) == (p_value >= 0.05)


def test_order_of_detectors_is_only_a_sign() -> None:
    truth, a, b = pair(np.random.default_rng(5), gain=0.5)
    one, two = delong(truth, a, b), delong(truth, b, a)
    assert one.difference == -two.difference
    assert one.p_value == two.p_value
    assert one.interval == pytest.approx((-two.interval[1], -two.interval[0]))


def test_equal_detectors_are_called_different_in_about_5_percent() -> None:
    rng = np.random.default_rng(6)
    rejected = sum(delong(*pair(rng, count=120)).p_value < 0.05 for _ in range(400))
    assert 0.02 <= rejected / 400 <= 0.09


def test_it_agrees_with_swapping_the_detectors_at_random() -> None:
    rng = np.random.default_rng(7)
    truth, a, b = pair(rng, count=150, gain=0.25)
    ours = delong(truth, a, b)
    # both detectors' scores have one distribution per class, so under "no difference" they can be swapped item by item
    count = 0
    for _ in range(500):
        swap = rng.random(len(truth)) < 0.5
        difference = auc(truth, np.where(swap, b, a)) - auc(truth, np.where(swap, a, b))
        count += abs(difference) >= abs(ours.difference)
    assert ours.p_value == pytest.approx(count / 500, abs=0.07)


def test_detectors_that_order_pairs_alike_are_equal() -> None:
    truth, a, _ = pair(np.random.default_rng(8))
    assert delong(truth, a, a) == DeLong(auc(truth, a), auc(truth, a), 0.0, (0.0, 0.0), 1.0)
    assert delong(truth, a, np.exp(a)).p_value == 1.0
    perfect = delong([True, True, False, False], [4.0, 3, 2, 1], [3.0, 4, 1, 2])
    assert (perfect.difference, perfect.interval, perfect.p_value) == (0.0, (0.0, 0.0), 1.0)


def test_no_variance_and_too_few_items_give_no_p() -> None:
    reversed_ = delong([True, True, False, False], [4.0, 3, 2, 1], [1.0, 2, 3, 4])
    assert reversed_.difference == 1.0
    assert math.isnan(reversed_.p_value)
    assert math.isnan(delong([True, False, False], [1.0, 2, 3], [3.0, 1, 2]).p_value)
    assert math.isnan(delong([True, True], [1.0, 2], [2.0, 1]).difference)


def test_both_detectors_judge_the_same_items() -> None:
    with pytest.raises(InputError, match="\\(N,\\)"):
        delong([True, False], [1.0, 0.0], [1.0, 0.0, 0.5])


def test_paired_bootstrap_agrees_with_delong_on_independent_items() -> None:
    truth, a, b = pair(np.random.default_rng(9), count=300, gain=0.3)
    interval = bootstrap_difference(auc, truth, a, b, [str(i) for i in range(300)], rounds=400)
    assert interval == pytest.approx(delong(truth, a, b).interval, abs=0.015)


def test_paired_bootstrap_keeps_pairs_and_groups() -> None:
    truth, a, b = pair(np.random.default_rng(10), count=90)
    items = [str(i) for i in range(90)]
    assert bootstrap_difference(auc, truth, a, a, items, rounds=50) == (0.0, 0.0)
    paired = np.ptp(bootstrap_difference(auc, truth, a, b, items, rounds=300))
    assert paired < math.hypot(*(np.ptp(bootstrap_auc(truth, s, items, rounds=300)) for s in (a, b)))
    copies = [np.repeat(x, 8) for x in (truth, a, b)]
    by_source = bootstrap_difference(accuracy, *copies, [str(i // 8) for i in range(720)], rounds=100)
    assert by_source == pytest.approx(
        bootstrap_difference(accuracy, truth, a, b, [f"{i:02}" for i in range(90)], rounds=100), abs=0.05
    )
    assert np.ptp(by_source) > 2 * np.ptp(
        bootstrap_difference(accuracy, *copies, [str(i) for i in range(720)], rounds=100)
    )
