"""Reports carry a decision where the weights have a rule for the rate asked, and none where they haven't."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

import vidguard
from vidguard.config import AnalysisConfig
from vidguard.demo import DemoClip
from vidguard.errors import WeightsError
from vidguard.scoring.calibration import Band, DecisionRule
from vidguard.weights import enter_in_manifest, find_weights, read_passport, write_passport


def with_rules(folder: Path, *rules: DecisionRule) -> str:
    """The path of a copy of the shipped weights with other rules."""
    entry = find_weights()
    shutil.copytree(entry.folder, folder / entry.name)
    passport = read_passport(entry)
    write_passport(folder / entry.name, replace(passport, calibration=replace(passport.calibration, rules=rules)))
    return str(enter_in_manifest(folder, entry.name, "", "").folder)


def rule(rate: float, frame: Band, segment: Band, video: Band) -> DecisionRule:
    return DecisionRule(rate, frame=frame, segment=segment, video=video, note=f"note of {rate:g}")


def picture(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


NEVER, ALWAYS, GENUINE = Band(0.0, 1.0), Band(0.0, 0.0), Band(1.0, 1.0)


def test_each_level_is_decided_by_its_own_bounds_and_the_rate_asked_for(tmp_path: Path, clip: DemoClip) -> None:
    path = with_rules(tmp_path, rule(0.01, ALWAYS, GENUINE, NEVER), rule(0.05, NEVER, NEVER, GENUINE))
    default = vidguard.load(path, device="cpu").analyze(clip.path)
    assert default.decision == vidguard.types.Decision("genuine", 0.05, 1.0, 1.0)
    assert {s.decision for s in default.segments} == {"undecided"}
    assert {t.decision for t in default.tracks} == {"genuine"}
    assert (default.weights.threshold, default.weights.threshold_note) == (1.0, "note of 0.05")
    detector = vidguard.load(path, device="cpu", config=AnalysisConfig(error_rate=0.01))
    asked = detector.analyze(clip.path)
    assert asked.decision == vidguard.types.Decision("undecided", 0.01, 0.0, 1.0)
    assert {s.decision for s in asked.segments} == {"genuine"}
    assert asked.settings["error_rate"] == 0.01
    assert asked.fake_prob == default.fake_prob
    still = detector.analyze(picture(astronaut()))
    assert still.decision == vidguard.types.Decision("manipulated", 0.01, 0.0, 0.0)
    assert still.tracks[0].decision == still.segments[0].decision == "manipulated"
    assert still.weights.threshold == 0.0
    assert vidguard.Report.from_json(asked.to_json()) == asked
    nobody = detector.analyze(picture(np.full((200, 200, 3), 127, np.uint8)))
    assert nobody.decision is None


def test_without_rules_no_decision_is_made_and_none_can_be_asked_for(tmp_path: Path) -> None:
    path = with_rules(tmp_path)
    assert vidguard.load(path, device="cpu").analyze(picture(astronaut())).decision is None
    with pytest.raises(WeightsError, match="they make no decisions"):
        vidguard.load(path, device="cpu", config=AnalysisConfig(error_rate=0.05))


def test_two_equal_faces_in_a_still_say_less_than_one(detector: vidguard.Detector) -> None:
    one = detector.analyze(picture(astronaut()))
    two = detector.analyze(picture(np.concatenate([astronaut(), astronaut()], axis=1)))
    assert len(two.tracks) == 2
    assert max(t.fake_prob for t in two.tracks) == pytest.approx(one.fake_prob, abs=0.02)
    assert two.fake_prob < one.fake_prob
