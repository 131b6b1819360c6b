"""Fusion, calibration, thresholds and validation figures, all on sources that nothing was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence as Seq
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from vidguard.calibration import (
    DEFAULT_ERROR_RATE,
    PROBABILITY_DIGITS,
    GenuineScores,
    Platt,
    fit_genuine_scores,
    fit_logistic,
    fit_platt,
)
from vidguard.config import AnalysisConfig
from vidguard.detector import Judge
from vidguard.detector.verdict import track_logit
from vidguard.errors import InputError
from vidguard.metrics import auc, bootstrap_auc, expected_calibration_error
from vidguard.segments import ScoredStretch, SegmentBuilder
from vidguard.temporal import WindowedJudge
from vidguard.training.decisions import Scored, fit_bounds, fit_rules, note_of, rule_figures
from vidguard.training.sequences import Sequence
from vidguard.weights import Calibration

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
    frames = _Examples()
    segments = _Examples()
    videos = _Examples()
    for sequence in sequences:
        fused = judge.fuse(torch.from_numpy(sequence.logits)).detach().numpy()
        for logit, fake in zip(fused, sequence.is_fake):
            frames.add(float(logit), bool(fake), sequence)
        stretches = judge_sequence(judge, sequence)
        for stretch in stretches:
            share = float(np.mean([sequence.is_fake[i] for i in stretch.frame_indices]))
            if share == 0 or share >= 0.5:
                segments.add(stretch.logit, share > 0, sequence)
        videos.add(track_logit(stretches), bool(sequence.is_fake.any()), sequence)
    levels = {"frame": frames, "segment": segments, "video": videos}
    try:
        platts = {name: level.platt() for name, level in levels.items()}
    except ValidationError as error:  # a scaling that falls with the score isn't one
        raise InputError(NOTHING_LEARNT) from error
    scored = {name: level.scored(platts[name]) for name, level in levels.items()}
    rules = fit_rules(scored)
    thresholds = {name: min(fit_bounds(level, DEFAULT_ERROR_RATE)[1], 1.0) for name, level in scored.items()}
    sources = ", ".join(sorted({sequence.dataset for sequence in sequences}))
    calibration = Calibration(
        frame=platts["frame"],
        segment=platts["segment"],
        video=platts["video"],
        frame_threshold=thresholds["frame"],
        segment_threshold=thresholds["segment"],
        video_threshold=thresholds["video"],
        threshold_note=note_of(scored["video"], DEFAULT_ERROR_RATE),
        fitted_on=f"validation sources of {sources}{_and_forgeries(sequences)}; each family and class weighs the same",
        frame_genuine=frames.genuine_scores(),
        video_genuine=videos.genuine_scores(),
        rules=rules,
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


def judge_sequence(judge: Judge, sequence: Sequence) -> list[ScoredStretch]:
    """Run one sequence the way a track of a video is run."""
    config = AnalysisConfig()
    builder = SegmentBuilder(config.segment_seconds, config.bridge_seconds)
    times = sequence.tokens.times.tolist()
    ends = [*times[1:], times[-1] + 1 / config.frames_per_second]
    for start, end in zip(times, ends):
        builder.add_frame(start, min(end, start + config.faces.max_gap_seconds))
    with torch.inference_mode():
        windows = WindowedJudge(judge.temporal)
        fused = judge.fuse(torch.from_numpy(sequence.logits))
        tokens = type(sequence.tokens)(sequence.tokens.embeddings, fused, sequence.tokens.times)
        builder.add_logits(windows.push(tokens) + windows.finish())
    return builder.finish()


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
        return fit_platt(self.logits, self.is_fake, _balanced(list(zip(self.families, self.is_fake))))

    def scored(self, platt: Platt) -> Scored:
        """Probabilities as reports give them: bounds are fitted on the rounded ones that they will be held against."""
        return Scored(
            np.array([round(platt(x), PROBABILITY_DIGITS) for x in self.logits]),
            np.array(self.is_fake),
            np.array(self.families),
            np.array(self.sources),
        )

    def genuine_scores(self) -> GenuineScores:
        """How the genuine ones score."""
        genuine = [(x, source) for x, source, fake in zip(self.logits, self.sources, self.is_fake) if not fake]
        return fit_genuine_scores([x for x, _ in genuine], [source for _, source in genuine])

    def figures(self, platt: Platt) -> dict[str, Any]:
        """AUC with interval, accuracy at 0.5 and ECE, for every data set."""
        result: dict[str, Any] = {}
        names = np.array(self.families)
        truth, logits = np.array(self.is_fake), np.array(self.logits)
        probabilities = np.array([platt(x) for x in self.logits])
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
            }
        return result


def _balanced(keys: list[tuple[str, bool]]) -> NDArray[np.float64]:
    """Weights that give each family of data sets, and in it each class, the same say."""
    counts = Counter(keys)
    return np.array([1.0 / counts[key] for key in keys])
