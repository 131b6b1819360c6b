"""Intervals that respect what items have in common: bootstrap over groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from vidguard.errors import InputError
from vidguard.metrics.arrays import Z_95, labelled
from vidguard.metrics.ranking import auc

Statistic: TypeAlias = Callable[[NDArray[np.bool_], NDArray[np.float64]], float]
"""A figure of (N,) labels and (N,) scores, NaN where undefined, such as `auc` or `eer`."""


def bootstrap(
    statistic: Statistic,
    is_fake: ArrayLike,
    scores: ArrayLike,
    groups: Sequence[str],
    *,
    rounds: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % percentile interval of a statistic, resampling whole groups with replacement (Field & Welsh 2007).

    groups: one name per item; items that share footage or people share a group. For an interval by video each item is
    its own. Rounds in which the statistic is undefined, as AUC is without both classes, are skipped; (NaN, NaN) where
    more than half are. Few groups give too narrow an interval, a single one an interval without width.
    """
    truth, values = labelled(is_fake, scores)
    return percentile_interval(statistic(truth[i], values[i]) for i in resamples(len(truth), groups, rounds, seed))


def bootstrap_auc(
    is_fake: ArrayLike, scores: ArrayLike, groups: Sequence[str], *, rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of the AUC, resampling whole groups (sources) with replacement."""
    return bootstrap(auc, is_fake, scores, groups, rounds=rounds, seed=seed)


def identity_groups(identities: Sequence[Sequence[str]]) -> list[str]:
    """Name a group for each item so that no person is in two: the connected components of people linked by items.

    identities: the people in each item, those whose face was lent included. An item without any is a group of its own:
    nothing is known to link it. Where everyone is swapped with everyone, as in Celeb-DF, one group may hold nearly all
    items, and a bootstrap over so few groups says little: report their number beside the interval.
    """
    leader: dict[str, str] = {}

    def find(person: str) -> str:
        while leader.setdefault(person, person) != person:
            leader[person] = leader[leader[person]]
            person = leader[person]
        return person

    for people in identities:
        for person in people:
            leader[find(person)] = find(people[0])
    # numbers, as a made-up name for an item without people could be somebody's
    numbers: dict[str | int, int] = {}
    keys = [find(people[0]) if people else item for item, people in enumerate(identities)]
    return [str(numbers.setdefault(key, len(numbers))) for key in keys]


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927). (NaN, NaN) without trials; InputError where the counts don't fit."""
    if not 0 <= successes <= count:
        raise InputError(f"{successes} successes in {count} trials")
    if count == 0:
        return float("nan"), float("nan")
    share, weight = successes / count, Z_95**2 / count
    centre = (share + weight / 2) / (1 + weight)
    half = math.sqrt(weight * (share * (1 - share) + weight / 4)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)


def clopper_pearson_interval(successes: int, count: int) -> tuple[float, float]:
    """95 % interval of a share that holds at least so often for every share (Clopper & Pearson 1934), so a wide one.

    (NaN, NaN) without trials; InputError where the counts don't fit.
    """
    if not 0 <= successes <= count:
        raise InputError(f"{successes} successes in {count} trials")
    if count == 0:
        return float("nan"), float("nan")
    failures = count - successes
    low = float(betaincinv(successes, failures + 1, 0.025)) if successes else 0.0
    high = float(betaincinv(successes + 1, failures, 0.975)) if failures else 1.0
    return low, high


def resamples(num_items: int, groups: Sequence[str], rounds: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Item indices of each bootstrap round: as many groups as there are, drawn with replacement, each in full."""
    if len(groups) != num_items:
        raise InputError(f"{num_items} items but {len(groups)} groups")
    if rounds < 1:
        raise InputError(f"at least one round is needed, got {rounds}")
    if num_items == 0:
        return
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    items = np.arange(num_items)
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        drawn = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        yield np.repeat(items, drawn[group_of])


def percentile_interval(samples: Iterator[float]) -> tuple[float, float]:
    """2.5 % and 97.5 % percentiles of what isn't NaN; (NaN, NaN) where more than half is, or nothing is given."""
    values = np.fromiter(samples, np.float64)
    defined = values[~np.isnan(values)]
    if len(defined) == 0 or len(defined) < len(values) / 2:
        return float("nan"), float("nan")
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)
