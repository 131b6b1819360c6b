"""Fusion, calibration, thresholds and validation figures, all on sources that nothing was trained on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence as Seq
from dataclasses import replace
from functools import cached_property
from itertools import compress
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from vidguard.config import AnalysisConfig
from vidguard.detector import Judge
from vidguard.errors import InputError
from vidguard.metrics import auc, bootstrap_auc, expected_calibration_error
from vidguard.scoring import TrackScores, score_track
from vidguard.scoring.calibration import (
    DEFAULT_ERROR_RATE,
    PROBABILITY_DIGITS,
    Calibration,
    GenuineScores,
    Platt,
    TrackReading,
    fit_genuine_scores,
    fit_logistic,
    fit_platt,
)
from vidguard.scoring.segments import opening_of
from vidguard.training.decisions import Scored, fit_bounds, fit_rules, note_of, rule_figures
from vidguard.training.sequences import Sequence
from vidguard.types import Interval

READING: Final = TrackReading("frames", 0.2)
"""On forged tracks that nothing is calibrated on (half of them in part only) the most suspicious fifth of the frames
tells faces apart by an AUC of .76, half of the segments by .73, the mean by .70; a tenth, the maximum, and logistic
regression on all of these do no better."""
OF_SINGLE_FRAMES: Final = TrackReading("frames", 1.0)
"""Where calibration sees single frames alone: the most suspicious of many frames score higher than any one of them,
which such a calibration would take for evidence; their mean doesn't."""
FLATNESS: Final = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
_DRAWS: Final = 50
NOTHING_LEARNT: Final = (
    "on the validation material a higher score doesn't mean fake more often, so there is nothing to calibrate: "
    "the encoders learnt too little; train more steps or on more material"
)


def fit_fusion(judge: Judge, sequences: Seq[Sequence]) -> None:
    """Set judge.fusion by logistic regression on frames, every family of data sets weighing the same. In place.

    No weight is negative: where a weak encoder's best weight is, it only corrects another's habits on the validation
    sets, and on other footage turns its own evidence upside down. Such encoders get weight 0. Raises InputError where
    none is left whose evidence counts.
    """
    logits = np.concatenate([s.logits for s in sequences])
    truth = np.concatenate([s.is_fake for s in sequences])
    weights = _balanced([(s.family, bool(f)) for s in sequences for f in s.is_fake])
    used = list(range(logits.shape[1]))
    beta = fit_logistic(logits, truth, weights)
    while len(used) > 1 and beta[:-1].min() < 0:
        del used[int(beta[:-1].argmin())]
        beta = fit_logistic(logits[:, used], truth, weights)
    if not beta[:-1].max() > 0:
        raise InputError(NOTHING_LEARNT)
    with torch.no_grad():
        judge.fusion.weight.zero_()
        judge.fusion.weight[0, used] = torch.from_numpy(beta[:-1]).float()
        judge.fusion.bias.copy_(torch.from_numpy(beta[-1:]).float())


def calibrate(judge: Judge, sequences: Seq[Sequence]) -> tuple[Calibration, dict[str, Any]]:
    """Fit Platt scalings, how genuine faces score, and decision rules; gives them with the validation figures.

    Thresholds are the default rule's. Where validation is too small to promise its rate, the thresholds keep to it on
    the validation material itself, and there is no rule. Raises InputError where a higher score doesn't mean fake more
    often.
    """
    reading = READING if any(len(s.is_fake) > 1 for s in sequences) else OF_SINGLE_FRAMES
    frames, segments, videos = _Examples(), _Examples(), _Examples()
    openings = _Examples()
    for sequence in sequences:
        fused = judge.fuse(torch.from_numpy(sequence.logits)).detach().numpy()
        for logit, fake in compress(zip(fused, sequence.is_fake), sequence.is_judged):
            frames.add(float(logit), bool(fake), sequence)
        scores = score_sequence(judge, sequence)
        read = scores.logit(reading)
        if read is None:
            continue
        frame_logits = {frame.index: frame.logit for frame in scores.frames}
        for segment in scores.segments:
            inside = [i for i in segment.frame_indices if i in frame_logits]
            share = float(np.mean(sequence.is_fake[inside])) if inside else 0.0
            if segment.num_frames and (share == 0 or share >= 0.5):
                segments.add(segment.logit, share > 0, sequence)
                openings.add(opening_of([frame_logits[i] for i in inside]), share > 0, sequence)
        videos.add(read, bool(sequence.is_fake[list(frame_logits)].any()), sequence)
    levels = {"frame": frames, "segment": segments, "video": videos}
    try:
        platts = {name: level.platt() for name, level in levels.items()}
    except ValidationError as error:  # a scaling that falls with the score isn't one
        raise InputError(NOTHING_LEARNT) from error
    scored = {name: level.scored(platts[name]) for name, level in levels.items()}
    finding = openings.scored(platts["segment"])
    rules = fit_rules(scored, finding)
    thresholds = {name: min(fit_bounds(level, DEFAULT_ERROR_RATE)[1], 1.0) for name, level in scored.items()}
    flat = ", ".join(f"{level.flatness:g} ({name})" for name, level in levels.items())
    sources = ", ".join(sorted({sequence.dataset for sequence in sequences}))
    calibration = Calibration(
        frame=platts["frame"],
        segment=platts["segment"],
        video=platts["video"],
        frame_threshold=thresholds["frame"],
        segment_threshold=thresholds["segment"],
        video_threshold=thresholds["video"],
        threshold_note=note_of(scored["video"], DEFAULT_ERROR_RATE),
        fitted_on=f"validation sources of {sources}{_and_forgeries(sequences)}; each family and class weighs the same; "
        f"log-odds flattened to what families that were left out lose least by: {flat}",
        frame_genuine=frames.genuine_scores(),
        video_genuine=videos.genuine_scores(),
        rules=rules,
        video_reading=reading,
        finding_threshold=min(fit_bounds(finding, DEFAULT_ERROR_RATE)[1], 1.0),
    )
    figures = {name: level.figures(platts[name]) for name, level in levels.items()}
    for name, families in figures.items():
        for family, found in families.items():
            bands = {f"{rule.error_rate:g}": getattr(rule, name) for rule in rules}
            found["decisions"] = {rate: rule_figures(scored[name], band, family) for rate, band in bands.items()}
    return calibration, figures


def _and_forgeries(sequences: Seq[Sequence]) -> str:
    return ", and forgeries of their clips" if any(len(s.is_fake) > 1 for s in sequences) else ""


def encoder_figures(judge: Judge, sequences: Seq[Sequence]) -> dict[str, dict[str, float]]:
    """Frame AUC of each encoder alone, for every family of data sets."""
    families = np.array([s.family for s in sequences for _ in s.is_fake])
    truth = np.concatenate([s.is_fake for s in sequences])
    logits = np.concatenate([s.logits for s in sequences])
    return {
        name: {str(f): round(auc(truth[families == f], logits[families == f, column]), 4) for f in np.unique(families)}
        for column, name in enumerate(judge.names)
    }


def score_sequence(judge: Judge, sequence: Sequence) -> TrackScores:
    """Score one sequence as an analysis scores a video's track.

    A frame speaks for as long as most do: a face that is missed for longer isn't seen meanwhile.
    """
    config = AnalysisConfig()
    times = sequence.tokens.times.tolist()
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1 / config.frames_per_second
    step = min(step, config.faces.max_gap_seconds)
    shown = [Interval(t, min(t + step, after)) for t, after in zip(times, [*times[1:], math.inf])]
    fused = judge.fuse(torch.from_numpy(sequence.logits)).detach()
    tokens = replace(sequence.tokens, frame_logits=fused)
    return score_track(judge.judge_window, shown, tokens, config, is_judged=sequence.is_judged.tolist())


class _Examples:
    """Scores of one level with truth and provenance."""

    def __init__(self) -> None:
        self.logits: list[float] = []
        self.is_fake: list[bool] = []
        self.families: list[str] = []
        self.sources: list[str] = []

    def add(self, logit: float, is_fake: bool, sequence: Sequence) -> None:
        self.logits.append(logit)
        self.is_fake.append(is_fake)
        self.families.append(sequence.family)
        self.sources.append(f"{sequence.dataset}/{sequence.source}")

    def platt(self) -> Platt:
        """Fitted on all families, then flattened."""
        return _flattened(self._fit(), self.flatness)

    def platt_without(self, family: str) -> Platt | None:
        """What a family that nothing was fitted on gets: fitted on the others; None where they don't suffice."""
        try:
            return _flattened(self._fit(without=family), self.flatness)
        except (InputError, ValidationError):
            return None

    @cached_property
    def flatness(self) -> float:
        """What fitted log-odds are multiplied by so that families nothing was fitted on lose least; 1 below three.

        Families differ in offset and in how far apart their classes lie, so that a scaling fitted on some is too sure
        of the next (a random effect, marginalised, is a flatter sigmoid). Judged by log loss, which is proper; every
        family, and in it each class, weighs the same.
        """
        names = sorted(set(self.families))
        try:
            fits = {name: self._fit(without=name) for name in names} if len(names) >= 3 else {}
        except (InputError, ValidationError):
            return 1.0
        return min(FLATNESS, key=lambda f: sum(self._loss(name, _flattened(fit, f)) for name, fit in fits.items()))

    def _fit(self, *, without: str | None = None) -> Platt:
        at = [name != without for name in self.families]
        truth = list(compress(self.is_fake, at))
        weights = _balanced(list(zip(compress(self.families, at), truth)))
        return fit_platt(list(compress(self.logits, at)), truth, weights)

    def _loss(self, family: str, platt: Platt) -> float:
        at = np.array(self.families) == family
        truth = np.array(self.is_fake)[at]
        lost = np.logaddexp(0.0, np.where(truth, -1.0, 1.0) * (platt.slope * np.array(self.logits)[at] + platt.offset))
        return float(np.mean([lost[truth == fake].mean() for fake in np.unique(truth)]))

    def scored(self, platt: Platt) -> Scored:
        """Probabilities as reports give them: bounds are fitted on the rounded ones that they will be held against."""
        return Scored(
            platt(np.array(self.logits)).round(PROBABILITY_DIGITS),
            np.array(self.is_fake),
            np.array(self.families),
            np.array(self.sources),
        )

    def genuine_scores(self) -> GenuineScores:
        """How the genuine ones score."""
        genuine = [(x, source) for x, source, fake in zip(self.logits, self.sources, self.is_fake) if not fake]
        return fit_genuine_scores([x for x, _ in genuine], [source for _, source in genuine])

    def figures(self, platt: Platt) -> dict[str, Any]:
        """AUC with interval, accuracy at 0.5 and ECE, for every data set.

        ece_held_out: by a scaling fitted on the other families alone, None where there is none; ece_by_chance: what a
        perfect calibration would show on as many independent examples.
        """
        rng = np.random.default_rng(0)
        result: dict[str, Any] = {}
        names = np.array(self.families)
        truth, logits = np.array(self.is_fake), np.array(self.logits)
        probabilities = platt(np.array(self.logits))
        for name in sorted(set(names)):
            at = names == name
            low, high = bootstrap_auc(truth[at], logits[at], [s for s, a in zip(self.sources, at) if a], rounds=500)
            result[name] = {
                "count": int(at.sum()),
                "sources": len({s for s, a in zip(self.sources, at) if a}),
                "auc": round(auc(truth[at], logits[at]), 4),
                "auc_95": [round(low, 4), round(high, 4)],
                "accuracy": round(float(((probabilities[at] >= 0.5) == truth[at]).mean()), 4),
                "ece": round(expected_calibration_error(truth[at], probabilities[at]), 4),
                "ece_held_out": None,
                "ece_by_chance": round(_ece_by_chance(probabilities[at], rng), 4),
            }
            elsewhere = self.platt_without(str(name))
            if elsewhere is not None:
                held_out = elsewhere(logits[at])
                result[name]["ece_held_out"] = round(expected_calibration_error(truth[at], held_out), 4)
        return result


def _flattened(platt: Platt, flatness: float) -> Platt:
    return Platt(slope=flatness * platt.slope, offset=flatness * platt.offset)


def _ece_by_chance(probabilities: NDArray[np.float64], rng: np.random.Generator) -> float:
    drawn = [rng.random(len(probabilities)) < probabilities for _ in range(_DRAWS)]
    return float(np.mean([expected_calibration_error(truth, probabilities) for truth in drawn]))


def _balanced(keys: list[tuple[str, bool]]) -> NDArray[np.float64]:
    """Weights that give each family of data sets, and in it each class, the same say."""
    counts = Counter(keys)
    return np.array([1.0 / counts[key] for key in keys])
