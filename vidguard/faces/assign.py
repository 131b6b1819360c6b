"""Optimal one-to-one assignment of rows to columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment


def assign(gain: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Pairs (row, column) with the greatest total gain; only pairs with a positive gain are made.

    gain: R x C numbers. Each row and column is used at most once. SciPy's shortest augmenting paths (Crouse 2016).
    """
    if not gain or not gain[0]:
        return []
    # a pair that gains nothing is as good as none
    wanted = np.maximum(np.asarray(gain, np.float64), 0.0)
    rows, columns = linear_sum_assignment(wanted, maximize=True)
    return [(int(r), int(c)) for r, c in zip(rows, columns) if wanted[r, c] > 0]
