"""Optimal one-to-one assignment of a few rows to a few columns."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf


def assign(gain: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Pairs (row, column) with the greatest total gain; only pairs with a positive gain are made.

    gain: R x C numbers. Each row and column is used at most once. The Hungarian method with potentials and shortest
    augmenting paths (Jonker & Volgenant 1987), cubic in the number of faces, which is small. Written out because SciPy
    isn't needed for anything else at run time.
    """
    rows, columns = len(gain), len(gain[0]) if gain else 0
    # Every row gets a column of its own that gains nothing, so it may stay unpaired.
    cost = [[-max(0.0, g) for g in row] + [0.0] * rows for row in gain]
    width = columns + rows
    row_of = [-1] * width
    row_potential, column_potential = [0.0] * rows, [0.0] * width
    for row in range(rows):
        _augment(cost, row, row_of, row_potential, column_potential)
    return sorted((r, c) for c, r in enumerate(row_of[:columns]) if r >= 0 and gain[r][c] > 0)


def _augment(cost: list[list[float]], row: int, row_of: list[int], u: list[float], v: list[float]) -> None:
    """Give one more row its column, along the cheapest path of changes to the pairs there are."""
    width = len(v)
    distance, came_from, done = [inf] * width, [-1] * width, [False] * width
    column, current, shortest = -1, row, 0.0
    while current >= 0:
        nearest = -1
        for c in range(width):
            if done[c]:
                continue
            through = shortest + cost[current][c] - u[current] - v[c]
            if through < distance[c]:
                distance[c], came_from[c] = through, column
            if nearest < 0 or distance[c] < distance[nearest]:
                nearest = c
        column, shortest = nearest, distance[nearest]
        done[column] = True
        current = row_of[column]
    u[row] += shortest
    for c in range(width):
        if done[c] and c != column:
            u[row_of[c]] += shortest - distance[c]
            v[c] -= shortest - distance[c]
    while column >= 0:
        before = came_from[column]
        row_of[column] = row_of[before] if before >= 0 else row
        column = before
