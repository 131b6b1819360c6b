"""Which kind of manipulation a stretch of frames most likely shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidguard.types import KindGuess, KindOfManipulation

_DIGITS = 4


def likeliest_kind(
    kinds: Sequence[KindOfManipulation], logits: Sequence[Sequence[float]], fake_probs: Sequence[float]
) -> KindGuess | None:
    """The most likely kind of T frames, given that they are manipulated; None without frames or kinds.

    logits: T rows of 1 + K, the genuine first, then the K kinds; fake_probs: T, what each frame weighs. The genuine's
    logit isn't read: whether a face is manipulated is said by what was calibrated for it.
    """
    if not kinds or not len(logits):
        return None
    rows = np.asarray(logits, np.float64)[:, 1:]
    rows = np.exp(rows - rows.max(1, keepdims=True))
    weights = np.asarray(fake_probs, np.float64)
    shares = np.average(rows / rows.sum(1, keepdims=True), axis=0, weights=weights if weights.any() else None)
    best = int(shares.argmax())
    return KindGuess(kind=kinds[best], prob=round(min(float(shares[best]), 1.0), _DIGITS))
