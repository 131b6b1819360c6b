"""Levels: probabilities at scalings with an offset, thresholds and bands at equality, and which rule is in force."""

from __future__ import annotations

import numpy as np
import pytest

from vidguard.errors import WeightsError
from vidguard.scoring import Level, Scoring
from vidguard.scoring.calibration import Band, Calibration, DecisionRule, GenuineScores, Platt, TrackReading

STEEP = Platt(slope=2.0, offset=-1.0)
CALIBRATION = Calibration(
    frame=STEEP,
    segment=Platt(0.5, 0.25),
    video=Platt(1.0, 3.0),
    frame_threshold=0.6,
    segment_threshold=0.7,
    video_threshold=0.8,
    threshold_note="thresholds of its own",
    fitted_on="made up",
    frame_genuine=GenuineScores((0.0, 1.0)),
    video_genuine=GenuineScores((0.0, 2.0)),
    video_reading=TrackReading("frames", 0.2),
    finding_threshold=0.75,
)
RULE = DecisionRule(0.01, Band(0.1, 0.91), Band(0.2, 0.92), Band(0.3, 0.93), "a rule's", finding_from=0.94)


def test_a_probability_is_the_sigmoid_of_the_scaled_logit_on_the_grid_of_reports() -> None:
    level = Level(STEEP, 0.5)
    assert level.probability(1.0) == 0.73106  # sigmoid(2 * 1 - 1)
    assert level.probability(0.0) == 0.26894
    assert level.probability(0.5) == 0.5
    assert level.probability(-1000.0) == 0.0
    assert level.probability(1000.0) == 1.0


def test_a_scaling_takes_arrays_as_it_takes_numbers() -> None:
    logits = np.array([[-3.0, 0.0], [0.5, 800.0]])
    assert STEEP(logits).tolist() == [[STEEP(float(x)) for x in row] for row in logits]
    assert isinstance(STEEP(0.5), float)
    for bad in (float("nan"), np.array([0.0, np.inf])):
        with pytest.raises(WeightsError, match="no number"):
            STEEP(bad)


def test_what_reaches_the_threshold_is_flagged_and_what_was_not_judged_never() -> None:
    level = Level(STEEP, 0.73106)
    assert level.is_flagged(0.73106)
    assert not level.is_flagged(0.73105)
    assert not level.is_flagged(None)
    assert Level(STEEP, 0.0).is_flagged(0.0)


def test_a_band_holds_its_lower_bound_for_undecided_and_its_upper_for_manipulated() -> None:
    level = Level(STEEP, 0.9, Band(genuine_below=0.2, manipulated_from=0.9))
    assert [level.label(p) for p in (0.19999, 0.2, 0.89999, 0.9, None)] == [
        "genuine",
        "undecided",
        "undecided",
        "manipulated",
        None,
    ]
    assert Level(STEEP, 0.9).label(0.95) is None


def test_without_a_rule_the_calibrations_own_thresholds_hold() -> None:
    scoring = Scoring.of(CALIBRATION)
    levels = (scoring.frame, scoring.segment, scoring.video)
    assert [level.threshold for level in levels] == [0.6, 0.7, 0.8]
    assert [level.platt for level in levels] == [CALIBRATION.frame, CALIBRATION.segment, CALIBRATION.video]
    assert [level.band for level in levels] == [None] * 3
    assert (scoring.finding_threshold, scoring.note, scoring.error_rate) == (0.75, "thresholds of its own", None)
    assert scoring.decision(scoring.video, 0.9, [0.9], complete=True) is None


def test_with_a_rule_its_bounds_are_the_thresholds() -> None:
    scoring = Scoring.of(CALIBRATION, RULE)
    levels = (scoring.frame, scoring.segment, scoring.video)
    assert [level.threshold for level in levels] == [0.91, 0.92, 0.93]
    assert [level.band for level in levels] == [RULE.frame, RULE.segment, RULE.video]
    assert [level.platt for level in levels] == [CALIBRATION.frame, CALIBRATION.segment, CALIBRATION.video]
    assert (scoring.frame.genuine, scoring.video.genuine) == (CALIBRATION.frame_genuine, CALIBRATION.video_genuine)
    assert (scoring.finding_threshold, scoring.note, scoring.error_rate) == (0.94, "a rule's", 0.01)
    assert scoring.reading == CALIBRATION.video_reading
    decision = scoring.decision(scoring.segment, 0.92, [0.1], complete=True)
    assert decision is not None
    assert (decision.label, decision.error_rate) == ("manipulated", 0.01)
    assert scoring.decision(scoring.video, None, [], complete=True) is None
