"""The tables of figures: the same headings and the same rounding wherever figures are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from vidguard.protocols.page.words import bounds, group_label, interval, number
from vidguard.protocols.result import POOLED, Figures, Result, SegmentFigures

_Column = tuple[str, Callable[[Figures], str]]

_COUNTS: Final[tuple[_Column, ...]] = (
    ("Genuine", lambda f: f"{f.real:,}"),
    ("Fake", lambda f: f"{f.fake:,}"),
    ("No decision", lambda f: f"{f.no_decision:,}"),
)
_RANKING: Final[tuple[_Column, ...]] = (
    ("AUC", lambda f: number(f.auc.value if f.auc else None)),
    ("95 % by source", lambda f: interval(f.auc)),
    ("95 % by identity", lambda f: interval(f.auc_by_identity)),
    ("AUC bounds", lambda f: bounds(f.auc_bounds)),
    ("EER", lambda f: number(f.eer)),
    ("AP", lambda f: number(f.average_precision)),
    ("TPR at 1 % FPR", lambda f: number(f.tpr_at_fpr_1)),
    ("TPR at 5 % FPR", lambda f: number(f.tpr_at_fpr_5)),
)
_DECISIONS: Final[tuple[_Column, ...]] = (
    ("Threshold", lambda f: number(f.threshold)),
    ("Accuracy", lambda f: number(f.accuracy)),
    ("Balanced accuracy", lambda f: number(f.balanced_accuracy)),
    ("Weighted precision", lambda f: number(f.weighted_precision, 4)),
    ("Log loss", lambda f: number(f.log_loss, 4)),
    ("ECE", lambda f: number(f.ece)),
)
TILES: Final = ("EER", "AP", "TPR at 1 % FPR", "Accuracy", "Log loss", "ECE")
"""Figures that stand beside the AUC at the head of a page."""


@dataclass(frozen=True)
class Table:
    """One table, every cell as text; the first cell of a row names it."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(result: Result) -> tuple[Table, ...]:
    """All tables of a result: items, single frames where there are any, segments where the truth is known."""
    made = [*_both(f"by {result.unit}", result.figures)]
    if result.frame_figures:
        made += _both("by frame", result.frame_figures)
    if result.segment_figures is not None:
        made.append(_segments(result.segment_figures))
    return tuple(made)


def side_by_side(a: Result, b: Result) -> Table:
    """The pooled figures of two results."""
    columns = (*_COUNTS, *_RANKING, *_DECISIONS)
    rows = tuple((heading, cell(a.pooled), cell(b.pooled)) for heading, cell in columns)
    return Table("Figures of each, on what it decided itself", ("Figure", "A", "B"), rows)


def tiles(result: Result) -> tuple[tuple[str, str], ...]:
    """The pooled figures named in `TILES` as (name, value)."""
    return tuple((name, cell(result.pooled)) for name, cell in (*_RANKING, *_DECISIONS) if name in TILES)


def _both(level: str, figures: Mapping[str, Figures]) -> tuple[Table, Table]:
    return (
        _table(f"Ranking, {level}", (*_COUNTS, *_RANKING), figures),
        _table(f"Decisions and probabilities, {level}", _DECISIONS, figures),
    )


def _table(title: str, columns: tuple[_Column, ...], figures: Mapping[str, Figures]) -> Table:
    rows = tuple((group_label(key), *(cell(f) for _, cell in columns)) for key, f in figures.items())
    return Table(title, ("Group", *(heading for heading, _ in columns)), rows)


def _segments(found: SegmentFigures) -> Table:
    area = None if found.auc is None else found.auc.value
    errors = (found.start_error_seconds, found.end_error_seconds)
    cells = (area, found.precision, found.recall, found.f1, found.temporal_iou, *errors)
    return Table(
        f"Forged stretches, right from an IoU of {found.iou_threshold:g}",
        ("Group", "Items", "Segment AUC", *("Precision", "Recall", "F1", "Mean temporal IoU"), "Start, s", "End, s"),
        ((group_label(POOLED), f"{found.items:,}", *(number(cell) for cell in cells)),),
    )
