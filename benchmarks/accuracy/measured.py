"""A statistic with its interval, as results store it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vidguard.metrics import Statistic, bootstrap


def measured(
    name: str,
    statistic: Statistic,
    is_fake: ArrayLike,
    scores: ArrayLike,
    groups: Iterable[str],
    *,
    rounds: int = 500,
    digits: int = 4,
) -> dict[str, Any]:
    """{name: value, name_95: [low, high]}: the interval holds 95 % of bootstrap rounds over groups."""
    truth, values = np.asarray(is_fake, bool), np.asarray(scores, np.float64)
    interval = bootstrap(statistic, truth, values, list(groups), rounds=rounds)
    return {name: round(statistic(truth, values), digits), f"{name}_95": [round(v, digits) for v in interval]}
