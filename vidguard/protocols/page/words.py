"""How figures, groups and answers are put into words, the same in Markdown and HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from vidguard.protocols.result import POOLED, Comparison, Estimate, Figures, Result
from vidguard.render.words import printable

NONE: Final = "–"
STATUS_WORDS: Final = {
    "no_face": "no face was found",
    "too_short": "no face was seen well enough to judge",
    "too_blurred": "every face was too small or too blurred to judge",
    "undecodable": "the picture could not be decoded",
    "error": "the detector failed",
}


def number(value: float | None, decimals: int = 3) -> str:
    """A figure with fixed decimals, an en dash where it is undefined."""
    return NONE if value is None else f"{value:.{decimals}f}"


def signed(value: float) -> str:
    """A difference, with its sign."""
    return f"{value:+.3f}".replace("-", "−")


def percent(share: float) -> str:
    """A share of a whole."""
    return f"{share * 100:.1f} %"


def interval(estimate: Estimate | None) -> str:
    """The 95 % interval alone."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return NONE
    if estimate.low < 0:
        return f"{signed(estimate.low)} to {signed(estimate.high)}"
    return f"{estimate.low:.3f}–{estimate.high:.3f}"


def bounds(pair: tuple[float, float] | None) -> str:
    """A range of figures."""
    return NONE if pair is None else f"{pair[0]:.3f}–{pair[1]:.3f}"


def p_value(value: float | None) -> str:
    """A p-value, never rounded to nought."""
    if value is None:
        return "the test is undefined here"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def counted(count: int, noun: str) -> str:
    """A number of things."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def group_label(key: str) -> str:
    """A key of `Result.figures` for people: "all", "Deepfakes", "c23", "Deepfakes, c23"."""
    if key == POOLED:
        return "all"
    method, between, compression = key.rpartition(" compression:")
    if between:
        return printable(f"{method.removeprefix('method:')}, {compression}")
    return printable(key.removeprefix("method:").removeprefix("compression:"))


def facts(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Settings as rows of (name, value), nested ones as JSON."""
    return tuple((printable(name.replace("_", " ")), _plain(value)) for name, value in values.items())


def _plain(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)) and all(isinstance(v, (str, int, float)) for v in value):
        return printable(", ".join(str(v) for v in value)) or NONE
    return printable(str(value) if isinstance(value, (str, int, float)) else json.dumps(value))


def undefined_auc(figures: Figures) -> str:
    """Why there is no AUC."""
    if not figures.items:
        return "nothing was found to judge"
    if not figures.real or not figures.fake:
        return f"there is no {'fake' if figures.real else 'genuine'} item, and an AUC ranks one class against the other"
    if figures.no_decision == figures.items:
        return "nothing was decided"
    return f"no {'genuine' if figures.decided_fake else 'fake'} item was decided"


def answer(result: Result) -> tuple[str, ...]:
    """What was asked, of how many, and what is missing: the sentences that stand with the first number."""
    return (_asked(result), _judged(result), _missing(result))


def _asked(result: Result) -> str:
    description = result.protocol.get("description")
    details = f" ({description})" if isinstance(description, str) and description else ""
    return printable(
        f"Detector {result.detector.name} on {result.dataset}, split {result.split}, by the protocol "
        f"{result.protocol['name']}{details}."
    )


def _judged(result: Result) -> str:
    pooled = result.pooled
    decided = pooled.items - pooled.no_decision
    text = (
        f"{decided:,} of {counted(pooled.items, result.unit)} decided: {pooled.decided_real:,} of {pooled.real:,} "
        f"genuine, {pooled.decided_fake:,} of {pooled.fake:,} fake."
    )
    if not pooled.no_decision:
        return text
    text += " The undecided count in no figure"
    return (
        f"{text}; no scores of theirs could move the AUC out of {bounds(pooled.auc_bounds)}."
        if pooled.auc_bounds
        else f"{text}."
    )


def _missing(result: Result) -> str:
    coverage = result.coverage
    total = coverage.found + len(coverage.missing)
    if coverage.missing:
        return (
            f"{len(coverage.missing):,} of the {counted(total, result.unit)} that the split names are missing "
            f"({percent(coverage.share)} there): these are not yet the figures of the whole split."
        )
    return f"No {result.unit} that the split names is missing."


def comparison_answer(a: Result, b: Result, comparison: Comparison) -> tuple[str, ...]:
    """Who ranks better, how sure that is, and on what."""
    first, second = (printable(f"{letter} ({r.detector.name})") for letter, r in (("A", a), ("B", b)))
    shared = (
        f"On the {comparison.real:,} genuine and {comparison.fake:,} fake that both decided. Left out: "
        f"{comparison.only_a:,} decided by {first} alone, {comparison.only_b:,} by {second} alone, "
        f"{comparison.neither:,} by neither."
    )
    return (_verdict(first, second, comparison.difference_by_source or comparison.difference), shared, *_unlike(a, b))


def _verdict(first: str, second: str, difference: Estimate) -> str:
    if difference.low is None or difference.high is None:
        return "Too few items to say whether the difference is more than chance."
    if difference.low <= 0 <= difference.high:
        return "The difference is within what chance alone gives."
    better, worse = (first, second) if difference.value > 0 else (second, first)
    return f"{better} ranks better than {worse}."


def _unlike(a: Result, b: Result) -> tuple[str, ...]:
    """What makes the two results hard to compare."""
    pairs = {
        "data sets": (a.dataset, b.dataset),
        "splits": (a.split, b.split),
        "protocols": (a.protocol, b.protocol),
    }
    return tuple(
        f"Careful: the {what} differ, so the detectors were not asked the same question."
        for what, (one, other) in pairs.items()
        if one != other
    )


def compared_facts(a: Result, b: Result) -> tuple[tuple[str, str, str], ...]:
    """What each of two results is about, as rows of (name, a's, b's)."""
    sides = [
        {
            "detector": r.detector.name,
            "sha256": r.detector.sha256,
            "data set": r.dataset,
            "split": r.split,
            "found": r.coverage.found,
            "missing": len(r.coverage.missing),
            **{f"protocol: {name}": value for name, value in r.protocol.items()},
            **{f"environment: {name}": value for name, value in r.environment.items()},
        }
        for r in (a, b)
    ]
    first, second = (dict(facts(side)) for side in sides)
    return tuple((name, first.get(name, NONE), second.get(name, NONE)) for name in {**first, **second})
