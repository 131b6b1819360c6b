"""Decision rules hold for every family, say what they rest on, and are left out where nothing can be promised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from vidguard.metrics import clopper_pearson_interval
from vidguard.training.decisions import Scored, fit_bounds, fit_rules, note_of, rule_figures


def family(name: str, genuine: int, fake: int, *, each: int = 1, shift: float = 0.0, seed: int = 0) -> Scored:
    """Sources of a family with `each` examples a source, genuine ones low and manipulated ones high."""
    rng = np.random.default_rng(seed)
    truth = np.repeat([False] * genuine + [True] * fake, each)
    logits = rng.normal(np.where(truth, 2.0, -2.0) + shift, 1.5)
    return Scored(
        (1 / (1 + np.exp(-logits))).round(5),
        truth,
        np.full(len(truth), name),
        np.array([f"{name}/{i // each}" for i in range(len(truth))]),
    )


def joined(*parts: Scored) -> Scored:
    return Scored(*(np.concatenate([getattr(p, f) for p in parts]) for f in Scored.__dataclass_fields__))


def levels(level: Scored) -> dict[str, Scored]:
    return {"frame": level, "segment": level, "video": level}


def test_each_rate_holds_in_each_family() -> None:
    both = joined(family("easy", 400, 300), family("hard", 200, 300, shift=1.0, seed=1))
    strict, lax = fit_rules(levels(both))
    assert (strict.error_rate, lax.error_rate) == (0.01, 0.05)
    for rule in (strict, lax):
        for name in ("easy", "hard"):
            figures = rule_figures(both, rule.video, name)
            values, _ = both.of(name, False)
            assert figures["genuine"]["error"] == pytest.approx(
                (values >= rule.video.manipulated_from).mean(), abs=1e-4
            )
            assert figures["genuine"]["error"] <= rule.error_rate
            assert figures["manipulated"]["error"] <= rule.error_rate
            low, high = figures["genuine"]["error_95"]
            assert low <= figures["genuine"]["error"] <= high
            assert 0 < figures["decided"] <= 1
        assert "promised for faces like those of easy (400 genuine and 300 manipulated sources), hard" in rule.note
        assert "too few" not in rule.note
    assert strict.video.manipulated_from > lax.video.manipulated_from
    assert strict.video.genuine_below < lax.video.genuine_below
    easy = fit_bounds(family("easy", 400, 300), 0.05)
    assert lax.video.manipulated_from > easy[1]  # the harder one decides


def test_a_small_family_is_observed_and_said_to_be() -> None:
    small = family("clips", 11, 11, each=8, shift=1.5, seed=2)
    both = joined(family("crops", 300, 300), small)
    rule = fit_rules(levels(both))[-1]
    assert (
        "observed only, on too few sources for a promise, in clips (11 genuine and 11 manipulated sources)" in rule.note
    )
    assert rule_figures(both, rule.video, "clips")["genuine"]["error"] <= 0.05
    assert rule_figures(both, rule.video, "clips")["genuine"]["error_95"][1] > 0.2


def test_nothing_promised_gives_no_rule_but_thresholds_still() -> None:
    small = family("clips", 15, 15, each=4)
    assert fit_rules(levels(small)) == ()
    low, high = fit_bounds(small, 0.05)
    assert (small.of("clips", False)[0] >= high).mean() <= 0.05
    assert (small.of("clips", True)[0] < low).mean() <= 0.05
    assert "promised" not in note_of(small, 0.05)
    assert [r.error_rate for r in fit_rules(levels(family("clips", 30, 30)))] == [0.05]
    saturated = family("clips", 300, 300)
    at_one = Scored(np.where(saturated.is_fake, saturated.probabilities, 1.0), *list(vars(saturated).values())[1:])
    assert fit_rules(levels(at_one)) == ()


def test_a_stricter_rate_is_never_laxer_where_only_the_laxer_one_is_promised() -> None:
    # 25 sources: 5 % allows .012 of them, and 1 %, observed only, .01
    for seed in range(20):
        level = family("clips", 25, 25, each=20, seed=seed)
        (low, high), (lax_low, lax_high) = fit_bounds(level, 0.01), fit_bounds(level, 0.05)
        assert high >= lax_high
        assert low <= lax_low


def test_sources_weigh_the_same_in_the_figures() -> None:
    from vidguard.scoring.calibration import Band

    level = Scored(
        np.array([0.9] * 9 + [0.1, 0.8]),
        np.array([False] * 10 + [True]),
        np.array(["x"] * 11),
        np.array(["long"] * 9 + ["short", "fake"]),
    )
    figures = rule_figures(level, Band(0.2, 0.85), "x")
    assert figures["genuine"] == {"sources": 2, "error": 0.5, "error_95": [0.0126, 0.9874]}
    assert figures["decided"] == 0.5
    assert figures["error_among_decided"] == 0.5


@pytest.mark.parametrize(("successes", "count"), [(0, 11), (3, 60), (60, 60), (15, 1500)])
def test_clopper_pearson_equals_scipys(successes: int, count: int) -> None:
    exact = binomtest(successes, count).proportion_ci(0.95, "exact")
    assert clopper_pearson_interval(successes, count) == pytest.approx((exact.low, exact.high), abs=1e-9)
