"""What the pages of a result show, worked out once: plain values, no markup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vidguard.errors import InputError
from vidguard.protocols.page.tables import Table, tables, tiles
from vidguard.protocols.page.words import STATUS_WORDS, answer, facts
from vidguard.protocols.result import Result, ScoredItem
from vidguard.render.words import clock

WORST_MISTAKES: Final = 8
"""Of each kind."""
MAX_LISTED: Final = 50
"""Ids listed on a page; the rest are in the score file or the result."""

_MAX_DETAIL: Final = 160


@dataclass(frozen=True)
class Mistakes:
    """The most confident errors, worst first."""

    false_alarms: tuple[ScoredItem, ...]
    """Genuine items at or above the threshold."""
    missed: tuple[ScoredItem, ...]
    """Fakes below it."""


@dataclass(frozen=True)
class Undecided:
    """Items without a probability for one reason."""

    reason: str
    real: int
    fake: int


@dataclass(frozen=True)
class View:
    """Everything the templates need besides the result itself."""

    answer: tuple[str, ...]
    tables: tuple[Table, ...]
    tiles: tuple[tuple[str, str], ...]
    mistakes: Mistakes
    undecided: tuple[Undecided, ...]
    undecided_items: tuple[ScoredItem, ...]
    facts: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """Titled groups of (name, value): how it was measured."""


def build_view(result: Result, scores: Sequence[ScoredItem]) -> View:
    """Work out the page of a result and its scores. Raises InputError for the scores of another run."""
    if len(scores) != result.pooled.items:
        raise InputError(
            f"the result counts {result.pooled.items} items, but there are {len(scores)} scores; "
            "pass the scores of the same run"
        )
    undecided = sorted((s for s in scores if s.score.fake_prob is None), key=lambda s: (s.score.status, s.item.id))
    return View(
        answer=answer(result),
        tables=tables(result),
        tiles=tiles(result),
        mistakes=worst_mistakes(scores, result.pooled.threshold),
        undecided=_by_reason(undecided),
        undecided_items=tuple(undecided),
        facts=_facts(result),
    )


def worst_mistakes(scores: Sequence[ScoredItem], threshold: float) -> Mistakes:
    """The most confident errors at a threshold, at most `WORST_MISTAKES` of each kind; undecided items are none."""
    decided = [(s.score.fake_prob, s.item.id, s) for s in scores if s.score.fake_prob is not None]
    alarms = sorted((-p, name, s) for p, name, s in decided if not s.item.is_fake and p >= threshold)
    missed = sorted((p, name, s) for p, name, s in decided if s.item.is_fake and p < threshold)
    return Mistakes(*(tuple(s for _, _, s in ranked[:WORST_MISTAKES]) for ranked in (alarms, missed)))


def decided_arrays(scores: Sequence[ScoredItem]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Truth and probability (N,) of the items that have one."""
    decided = [(s.item.is_fake, s.score.fake_prob) for s in scores if s.score.fake_prob is not None]
    return np.array([f for f, _ in decided], dtype=np.bool_), np.array([p for _, p in decided], dtype=np.float64)


def message(item: ScoredItem) -> str:
    """Why an item has no decision, on one line of bearable length."""
    reason = STATUS_WORDS.get(item.score.status, item.score.status)
    detail = " ".join(item.score.detail.split())
    return f"{reason}: {detail[:_MAX_DETAIL]}" if detail else reason


def _facts(result: Result) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    detector = {"name": result.detector.name, "sha256": result.detector.sha256, **result.detector.settings}
    run = {**result.environment, "time spent on items": clock(result.item_seconds), "scores": result.scores_file}
    return ("Protocol", facts(result.protocol)), ("Detector", facts(detector)), ("Environment", facts(run))


def _by_reason(undecided: Sequence[ScoredItem]) -> tuple[Undecided, ...]:
    counts = Counter((s.score.status, s.item.is_fake) for s in undecided)
    reasons = sorted({status for status, _ in counts})
    return tuple(Undecided(STATUS_WORDS.get(r, r), counts[r, False], counts[r, True]) for r in reasons)
