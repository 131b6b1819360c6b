"""Probabilities for families that nothing was fitted on: flatter where families differ, else as they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from vidguard.detector import Judge
from vidguard.metrics import expected_calibration_error
from vidguard.scoring.segments import opening_of
from vidguard.scoring.windows import FrameTokens
from vidguard.training.calibrate import (
    FLATNESS,
    OF_SINGLE_FRAMES,
    READING,
    _Examples,
    calibrate,
    fit_fusion,
    score_sequence,
)
from vidguard.training.sequences import Sequence


def crops(families: dict[str, tuple[float, float]], count: int = 300, seed: int = 0) -> _Examples:
    """Families by name with the offset and the spread of their logits."""
    rng, examples = np.random.default_rng(seed), _Examples()
    tokens = FrameTokens({}, torch.zeros(1), torch.zeros(1, dtype=torch.float64))
    for name, (offset, spread) in families.items():
        for k in range(count):
            fake = k % 2 == 1
            one = Sequence(tokens, np.zeros((1, 1), np.float32), np.array([fake]), np.array([True]), f"{name}{k}", name)
            examples.add(float(rng.normal(offset + (1.5 if fake else -1.5), spread)), fake, one)
    return examples


ALIKE = {"a": (0.0, 1.5), "b": (0.0, 1.5), "c": (0.0, 1.5)}
APART = {"a": (-2.5, 1.5), "b": (0.0, 1.5), "c": (2.5, 1.5)}


def test_only_families_that_differ_flatten_and_then_to_what_a_search_of_its_own_finds() -> None:
    assert crops(ALIKE).flatness >= 0.9
    assert crops({"a": (-2.0, 1.0), "b": (2.0, 1.0)}).flatness == 1.0  # of two families there is one difference
    examples = crops(APART)
    names, truth, logits = (np.array(v) for v in (examples.families, examples.is_fake, examples.logits))

    def fit(at):
        def loss(b):
            return np.logaddexp(0, np.where(truth[at], -1, 1) * (b[0] * logits[at] + b[1])).mean()

        return minimize(loss, [1.0, 0.0]).x

    fits = {n: fit(names != n) for n in "abc"}

    def held_out(flat: float) -> float:
        signed = [np.where(truth[names == n], -1, 1) * (b[0] * logits[names == n] + b[1]) for n, b in fits.items()]
        return float(np.mean([np.logaddexp(0, flat * s).mean() for s in signed]))

    assert examples.flatness == min(FLATNESS, key=held_out) < 1.0


def test_figures_say_what_is_left_of_calibration_where_nothing_was_fitted() -> None:
    alike, apart = crops(ALIKE), crops(APART)
    for name in "abc":
        good = alike.figures(alike.platt())[name]
        assert good["ece_held_out"] < 0.08
        assert 0.01 < good["ece_by_chance"] < 0.08
    bad = apart.figures(apart.platt())["c"]
    assert bad["ece_held_out"] > 0.15
    platt = apart.platt_without("c")
    assert platt is not None
    at = np.array(apart.families) == "c"
    stated = [platt(x) for x in np.array(apart.logits)[at]]
    expected = expected_calibration_error(np.array(apart.is_fake)[at], stated)
    assert bad["ece_held_out"] == pytest.approx(expected, abs=1e-4)
    assert crops({"a": (0.0, 1.0)}).figures(crops({"a": (0.0, 1.0)}).platt())["a"]["ece_held_out"] is None


def test_calibration_reads_videos_by_frames_and_says_from_where_frames_open_a_finding() -> None:
    rng = np.random.default_rng(0)
    judge = Judge(("mesoinception4",), {}).eval()
    found = []
    for k in range(60):
        truth = np.full(40, k % 3 == 0)
        truth[10:20] |= k % 3 == 1
        logits = (rng.normal(0, 1, (40, 1)) + 2.5 * truth[:, None]).astype(np.float32)
        tokens = FrameTokens(
            {"mesoinception4": torch.zeros(40, 4)}, torch.zeros(40), torch.arange(40, dtype=torch.float64) / 8
        )
        found.append(Sequence(tokens, logits, truth, np.ones_like(truth), f"s{k}", "clips"))
    fit_fusion(judge, found)
    calibration, _ = calibrate(judge, found)
    assert calibration.video_reading == READING
    assert calibration.finding_threshold is not None
    opened = []
    for sequence in found:
        scores = score_sequence(judge, sequence)
        assert [p.start for p in scores.frames] == sequence.tokens.times.tolist()
        for stretch in scores.segments:
            inside = list(stretch.frame_indices)
            if not sequence.is_fake[inside].any():
                opened.append(calibration.segment(opening_of([scores.frames[i].logit for i in inside])))
    share = np.mean(np.array(opened) >= calibration.finding_threshold)
    assert 0.01 < share <= 0.06
    # a frame alone reaches higher than two do, so the threshold of segments isn't that of frames
    assert calibration.finding_threshold > calibration.segment_threshold


def test_where_single_frames_are_all_that_is_known_a_face_is_read_by_its_mean() -> None:
    rng = np.random.default_rng(0)
    judge = Judge(("mesoinception4",), {}).eval()
    found = []
    for k in range(80):
        logits = rng.normal(2.0 * (k % 2), 1, (1, 1)).astype(np.float32)
        tokens = FrameTokens({"mesoinception4": torch.zeros(1, 4)}, torch.zeros(1), torch.zeros(1, dtype=torch.float64))
        found.append(Sequence(tokens, logits, np.array([k % 2 == 1]), np.array([True]), f"s{k}", "stills"))
    fit_fusion(judge, found)
    assert calibrate(judge, found)[0].video_reading == OF_SINGLE_FRAMES
