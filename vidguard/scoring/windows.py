"""Overlapping windows over a track of unknown length: answers don't depend on how the frames arrived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import torch
from torch import Tensor

WINDOW_FRAMES: Final = 64
"""8 s at 8 frames a second, as long as the tracks it learns from: a stretch forged for some seconds stands beside the
same person's genuine frames. Attention cost stays negligible."""
HOP_FRAMES: Final = 32


class WindowOutput(Protocol):
    """What is read of a temporal model's answer: frame_logits, (1, T)."""

    @property
    def frame_logits(self) -> Tensor:
        """(1, T), positive means fake."""
        ...


JudgeWindow = Callable[[dict[str, Tensor], Tensor, Tensor, Tensor], WindowOutput]
"""A temporal model: embeddings name -> (1, T, D), frame logits (1, T), times (1, T) s, valid (1, T) -> its answer."""


@dataclass(frozen=True)
class FrameTokens:
    """A track's frames: embeddings name -> (T, D), frame_logits (T,), times (T,) float64 seconds."""

    embeddings: dict[str, Tensor]
    frame_logits: Tensor
    times: Tensor

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.times)

    def __getitem__(self, part: slice) -> FrameTokens:
        """Take a stretch."""
        return FrameTokens({n: e[part] for n, e in self.embeddings.items()}, self.frame_logits[part], self.times[part])

    @staticmethod
    def join(parts: list[FrameTokens]) -> FrameTokens:
        """Put stretches of one track together."""
        names = parts[0].embeddings
        return FrameTokens(
            {n: torch.cat([p.embeddings[n] for p in parts]) for n in names},
            torch.cat([p.frame_logits for p in parts]),
            torch.cat([p.times for p in parts]),
        )


@dataclass
class WindowedJudge:
    """State machine over one track: push frames, get final frame logits as early as they are final.

    Window k covers the frames [k hop, k hop + length); the last one ends with the track. A frame's logit is the mean
    over the windows that cover it. Keeps at most one window of tokens.
    """

    judge: JudgeWindow
    _kept: FrameTokens | None = None
    _sums: list[float] = field(default_factory=list)
    _counts: list[int] = field(default_factory=list)

    def push(self, tokens: FrameTokens) -> list[float]:
        """Add the next frames (in order); returns the logits of the frames that became final, in order."""
        if len(tokens) == 0:
            return []
        self._kept = tokens if self._kept is None else FrameTokens.join([self._kept, tokens])
        self._sums += [0.0] * len(tokens)
        self._counts += [0] * len(tokens)
        final: list[float] = []
        while len(self._kept) >= WINDOW_FRAMES:
            self._run(WINDOW_FRAMES)
            final += self._release(HOP_FRAMES)
        return final

    def finish(self) -> list[float]:
        """End the track; returns the logits of all remaining frames, in order."""
        if self._kept is None:
            return []
        if any(count == 0 for count in self._counts):
            self._run(len(self._kept))
        final = self._release(len(self._kept))
        self._kept = None  # an empty slice would keep the whole window's memory
        return final

    def _run(self, length: int) -> None:
        assert self._kept is not None
        window = self._kept[:length]
        valid = torch.ones(1, length, dtype=torch.bool, device=window.frame_logits.device)
        embeddings = {n: e[None] for n, e in window.embeddings.items()}
        output = self.judge(embeddings, window.frame_logits[None], window.times[None], valid)
        for index, logit in enumerate(output.frame_logits[0].tolist()):
            self._sums[index] += logit
            self._counts[index] += 1

    def _release(self, count: int) -> list[float]:
        assert self._kept is not None
        final = [s / c for s, c in zip(self._sums[:count], self._counts[:count])]
        self._kept, self._sums, self._counts = self._kept[count:], self._sums[count:], self._counts[count:]
        return final
