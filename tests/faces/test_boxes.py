"""Suppression, area resizing and assignment against slow, plain references."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from vidguard.faces import boxes as box_module
from vidguard.faces.area import AreaSampler, _sum_on_device, _sum_on_host
from vidguard.faces.assign import assign
from vidguard.faces.boxes import pairwise_cover, pairwise_iou, square, suppress


def _slow_suppress(boxes: np.ndarray, scores: np.ndarray, group: np.ndarray, threshold: float) -> list[int]:
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        for j in kept:
            if group[i] != group[j]:
                continue
            start, stop = np.maximum(boxes[i, :2], boxes[j, :2]), np.minimum(boxes[i, 2:], boxes[j, 2:])
            shared = np.prod(np.clip(stop - start, 0, None))
            if (
                shared / (np.prod(boxes[i, 2:] - boxes[i, :2]) + np.prod(boxes[j, 2:] - boxes[j, :2]) - shared)
                > threshold
            ):
                break
        else:
            kept.append(int(i))
    return kept


@pytest.mark.parametrize("block", [1024, 16])
@pytest.mark.parametrize("threshold", [0.2, 0.5])
def test_suppress_is_the_greedy_algorithm(threshold: float, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box_module, "_NMS_BLOCK", block)
    random = np.random.default_rng(5)
    corner = random.uniform(0, 120, (200, 2))
    boxes = np.concatenate([corner, corner + random.uniform(20, 60, (200, 2))], 1)
    scores, group = random.integers(0, 50, 200) / 50, random.integers(0, 3, 200)
    kept = suppress(torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(group), threshold)
    expected = _slow_suppress(boxes, scores, group, threshold)
    assert kept.tolist() == expected
    assert 3 < len(expected) < 150


def test_thousands_of_boxes_are_compared_in_small_parts_and_within_their_groups() -> None:
    count, groups = 6000, 6
    corner = torch.arange(count).float()[:, None] * torch.tensor([50.0, 0.0])
    boxes, scores = torch.cat([corner, corner + 40], 1), torch.arange(count) % 97 / 97
    compared: list[int] = []

    def counting(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        assert max(len(a), len(b)) <= 1024
        compared.append(len(a) * len(b))
        return pairwise_iou(a, b)

    kept = suppress(boxes, scores, torch.arange(count) % groups, 0.5, counting)
    assert kept.tolist() == scores.argsort(descending=True, stable=True).tolist()
    assert sum(compared) < count**2 / 2, "of boxes in other groups nothing is asked"


def test_overlaps_by_hand() -> None:
    a, b = torch.tensor([[0.0, 0.0, 10.0, 10.0]]), torch.tensor([[5.0, 0.0, 15.0, 10.0], [20.0, 20.0, 30.0, 30.0]])
    torch.testing.assert_close(pairwise_iou(a, b), torch.tensor([[50 / 150, 0.0]]))
    torch.testing.assert_close(pairwise_cover(a, b), torch.tensor([[66 / 121, 0.0]]))
    torch.testing.assert_close(square(torch.tensor([[0.0, 0.0, 10.0, 4.0]])), torch.tensor([[0.0, -3.0, 10.0, 7.0]]))


def test_area_sampler_equals_interpolate() -> None:
    frames = torch.randint(0, 256, (2, 3, 61, 83), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    expected = F.interpolate(frames.float(), size=[17, 40], mode="area")
    torch.testing.assert_close(AreaSampler(frames).resize(17, 40), expected, atol=1e-4, rtol=0)
    index = torch.tensor([1, 0, 1])
    rects = torch.tensor([[3, 5, 60, 59], [30, 10, 41, 15], [82, 60, 83, 61]])
    for region in (None, [3, 5, 83, 61]):
        crops = AreaSampler(frames, region).crops(index, rects, 24)
        for crop, n, (x0, y0, x1, y1) in zip(crops, index.tolist(), rects.tolist()):
            expected = F.interpolate(frames[n : n + 1, :, y0:y1, x0:x1].float(), size=[24, 24], mode="area")[0]
            torch.testing.assert_close(crop, expected, atol=1e-4, rtol=0)


def test_both_ways_of_summing_agree() -> None:
    frames = torch.randint(0, 256, (3, 3, 37, 29), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    assert torch.equal(_sum_on_host(frames), _sum_on_device(frames))


def _best_by_trying_all(gain: np.ndarray) -> float:
    rows, columns = gain.shape
    padded = np.concatenate([np.maximum(gain, 0), np.zeros((rows, rows))], 1)
    choices = itertools.permutations(range(columns + rows), rows)
    return max(sum(padded[r, c] for r, c in enumerate(choice)) for choice in choices)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_assignment_is_optimal(rows: int, columns: int, seed: int) -> None:
    gain = np.random.default_rng(seed).integers(-3, 6, (rows, columns)).astype(float)
    pairs = assign(gain.tolist())
    assert len({r for r, _ in pairs}) == len({c for _, c in pairs}) == len(pairs)
    assert all(gain[pair] > 0 for pair in pairs)
    assert sum(gain[pair] for pair in pairs) == _best_by_trying_all(gain)


def test_assignment_of_nothing() -> None:
    assert assign([]) == []
    assert assign([[], []]) == []
