"""Decision rules of stated error rates, and what they do to validation material.

A rule's bounds hold for every family of data sets by itself: a pooled rate would be that of the largest. In a family
with too few sources for a rate it is observed and not promised, and the rule's note says so.

The scores that the bounds are fitted on chose the fusion's few weights and the transformer's epoch too, so "learnt
elsewhere", which conformal prediction asks for, holds nearly and not wholly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vidguard.metrics import clopper_pearson_interval
from vidguard.scoring.calibration import Band, DecisionRule, flag_from, genuine_below, smallest_error_rate

RATES: Final = (0.01, 0.05)


@dataclass(frozen=True)
class Scored:
    """One level's validation examples, (N,) each; probabilities as reported, source names unique across data sets."""

    probabilities: NDArray[np.float64]
    is_fake: NDArray[np.bool_]
    families: NDArray[np.str_]
    sources: NDArray[np.str_]

    def of(self, family: str, is_fake: bool) -> tuple[NDArray[np.float64], list[str]]:
        """Probabilities and sources of one class of one family."""
        at = (self.families == family) & (self.is_fake == is_fake)
        return self.probabilities[at], self.sources[at].tolist()

    def num_sources(self) -> dict[tuple[str, bool], int]:
        """Sources by family and class; none is left out where there are none."""
        names = sorted(set(self.families.tolist()))
        return {(name, fake): len(set(self.of(name, fake)[1])) for name in names for fake in (False, True)}


def fit_bounds(level: Scored, error_rate: float) -> tuple[float, float]:
    """(genuine below, manipulated from) of one level; both classes must be there.

    The rate is promised by every family that has the sources for it and observed on the others. The bounds of a rate
    are no laxer than those of a higher one of `RATES`. The second may lie above 1: nothing is called manipulated then.
    """
    below: list[float] = []
    above: list[float] = []
    for (family, fake), count in level.num_sources().items():
        for rate in {error_rate, *(r for r in RATES if r > error_rate)} if count else ():
            fit, bounds = (genuine_below, below) if fake else (flag_from, above)
            bounds.append(fit(*level.of(family, fake), rate, promise=smallest_error_rate(count) <= rate))
    return min(below), max(above)


def fit_rules(levels: Mapping[str, Scored], finding: Scored | None = None) -> tuple[DecisionRule, ...]:
    """The rules of `RATES` that validation can promise: at every level and for both classes by at least one family.

    finding: genuine and manipulated segments, each with the highest probability at which its frames open a finding.
    """
    rules = []
    for rate in RATES:
        bounds = {name: fit_bounds(level, rate) for name, level in levels.items()}
        promised = all(_is_promised(level, rate) for level in levels.values())
        if promised and all(high <= 1 for _, high in bounds.values()):
            bands = {name: Band(low, high) for name, (low, high) in bounds.items()}
            opens = None if finding is None else min(fit_bounds(finding, rate)[1], 1.0)
            note = note_of(levels["video"], rate)
            rules.append(DecisionRule(error_rate=rate, note=note, finding_from=opens, **bands))
    return tuple(rules)


def _is_promised(level: Scored, rate: float) -> bool:
    promised = {fake for (_, fake), count in level.num_sources().items() if smallest_error_rate(count) <= rate}
    return promised == {False, True}


def note_of(level: Scored, rate: float) -> str:
    """What the bounds of a rate promise, and of which families they were only observed to keep it."""
    counts = level.num_sources()
    promised: list[str] = []
    observed: list[str] = []
    for family in sorted({name for name, _ in counts}):
        genuine, fake = counts[family, False], counts[family, True]
        fewest = min(count for count in (genuine, fake) if count)
        enough = smallest_error_rate(fewest) <= rate
        (promised if enough else observed).append(f"{family} ({genuine} genuine and {fake} manipulated sources)")
    parts = [f"at most {rate:.0%} of genuine faces flagged, and of manipulated ones called genuine"]
    if promised:
        parts.append(f"promised for faces like those of {', '.join(promised)}")
    if observed:
        parts.append(f"observed only, on too few sources for a promise, in {', '.join(observed)}")
    return "; ".join(parts)


def rule_figures(level: Scored, band: Band, family: str) -> dict[str, Any]:
    """What a band does to one family it was fitted on: error rates with 95 % intervals, share decided, errors there.

    Sources weigh the same, and so do the classes where both are there.
    """
    figures: dict[str, Any] = {}
    decided, wrong = [], []
    for fake, name, error in ((False, "genuine", "manipulated"), (True, "manipulated", "genuine")):
        values, sources = level.of(family, fake)
        if len(values):
            labels = np.array([band.label(value) for value in values])
            wrong.append(_by_source(labels == error, sources))
            decided.append(_by_source(labels != "undecided", sources))
            interval = _interval(wrong[-1], len(set(sources)))
            figures[name] = {"sources": len(set(sources)), "error": round(wrong[-1], 4), "error_95": interval}
    share = float(np.mean(decided))
    figures["decided"] = round(share, 4)
    figures["error_among_decided"] = round(float(np.mean(wrong)) / share, 4) if share else None
    return figures


def _by_source(found: NDArray[np.bool_], sources: list[str]) -> float:
    """Mean over sources of the share found."""
    _, inverse, counts = np.unique(np.asarray(sources), return_inverse=True, return_counts=True)
    return float((np.bincount(inverse, found, minlength=len(counts)) / counts).mean())


def _interval(share: float, count: int) -> list[float]:
    """Clopper and Pearson's, sources as trials; one that is wrong in part counts as right below and as wrong above."""
    low = clopper_pearson_interval(math.floor(share * count + 1e-9), count)[0]
    high = clopper_pearson_interval(math.ceil(share * count - 1e-9), count)[1]
    return [round(low, 4), round(high, 4)]
