"""Batches of training samples that say where in the stream they end, so that a stopped training goes on just there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from vidguard.training.samples import SampleStream

Batch: TypeAlias = tuple[Tensor, Tensor, Tensor, str]
"""Crops (N, 3, 224, 224) uint8, labels (N,) 1 fake / 0 real, classes (N,), and the position after them."""


def position_of(state: Mapping[str, Any], taken: int = 0) -> str:
    """A place in a stream: the state of what a draw begins with, and how many of its samples are gone already."""
    return json.dumps({"state": state, "taken": taken})


class Batches(IterableDataset[Batch]):
    """A stream in batches without end: worker k of the loader goes on from positions[k]."""

    def __init__(self, stream: SampleStream, size: int, positions: Sequence[str]) -> None:
        self.stream, self.size, self.positions = stream, size, positions

    def __iter__(self) -> Iterator[Batch]:
        """Draw for ever."""
        worker = get_worker_info()
        begin = json.loads(self.positions[worker.id if worker else 0])
        rng = np.random.default_rng()
        rng.bit_generator.state = before = begin["state"]
        drawn = self.stream.draw(rng)
        rest = drawn[begin["taken"] :]
        while True:
            while len(rest) < self.size:
                before, drawn = rng.bit_generator.state, self.stream.draw(rng)
                rest = rest + drawn
            (crops, labels, classes, _), rest = zip(*rest[: self.size]), rest[self.size :]
            position = position_of(before, len(drawn) - len(rest)) if rest else position_of(rng.bit_generator.state)
            yield torch.stack(crops), torch.tensor(labels), torch.tensor(classes), position
