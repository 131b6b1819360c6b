"""Sequences of one face with known truth in time: pristine tracks, in part or whole forged, then degraded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track as progress

from vidguard.detector import Judge
from vidguard.forge import forge_stretch, sample_degradation, sample_recipe
from vidguard.temporal import FrameTokens
from vidguard.training.material import Store
from vidguard.training.samples import place

MIN_FRAMES = 8


@dataclass(frozen=True)
class Sequence:
    """Encoded frames of one face. is_fake: (T,) bool per frame; source: what must not be split."""

    tokens: FrameTokens
    logits: NDArray[np.float32]
    """(T, E) encoder logits in the judge's order, before fusion."""
    is_fake: NDArray[np.bool_]
    source: str
    dataset: str


def forged_sequences(store: Store, judge: Judge, *, split: str, forgeries: int, seed: int) -> Iterator[Sequence]:
    """Every track of a split once pristine (degraded) for each two forged versions, encoded."""
    tracks = store.tracks(split=split, minimum=MIN_FRAMES)
    for number, index in enumerate(progress(tracks, description=f"sequences of {split}")):
        rng = np.random.default_rng([seed, number])
        crops, points = [np.asarray(store.crops[i]) for i in index], [store.landmarks[i] for i in index]
        row = store.rows[index[0]]
        times = np.array([store.rows[i].time for i in index])
        for version in range(forgeries + forgeries // 2):
            is_fake = np.zeros(len(index), bool)
            frames = crops
            if version < forgeries:
                start, stop = _stretch(len(index), rng)
                other = tracks[int(rng.integers(len(tracks)))] if rng.random() < 0.3 else index[:0]
                donors = [(np.asarray(store.crops[i]), store.landmarks[i]) for i in other]
                jitter = float(rng.choice([0.0, 0.01, 0.03]))
                recipe = sample_recipe(rng)
                forged = forge_stretch(
                    crops[start:stop], points[start:stop], recipe, jitter=jitter, rng=rng, donors=donors
                )
                frames = crops[:start] + forged + crops[stop:]
                is_fake[start:stop] = True
            yield _encode(judge, _degraded(frames, rng), times, is_fake, source=row.group, dataset=row.dataset)


def single_frames(
    store: Store, judge: Judge, *, split: str, datasets: tuple[str, ...], count: int, seed: int, degrade: bool
) -> Iterator[Sequence]:
    """Labelled crops as tracks of one frame: the transformer must leave them to the encoders."""
    rng = np.random.default_rng(seed)
    chosen = store.where(split=split, datasets=datasets)
    chosen = rng.permutation(chosen)[:count]
    for start in progress(range(0, len(chosen), 64), description=f"single frames of {split}"):
        part = chosen[start : start + 64]
        crops = [np.asarray(store.crops[i]) for i in part]
        if degrade:
            crops = [sample_degradation(rng)(place(c, rng)) for c in crops]
        truth = np.array([store.rows[i].is_fake for i in part])
        whole = _encode(judge, crops, np.zeros(len(part)), truth, source="", dataset="")
        for k, i in enumerate(part):
            one = slice(k, k + 1)
            row = store.rows[i]
            source = row.group or row.path  # where the source is unknown, each crop stands for itself
            yield Sequence(whole.tokens[one], whole.logits[one], truth[one], source, row.dataset)


def _stretch(length: int, rng: np.random.Generator) -> tuple[int, int]:
    if rng.random() < 0.5:
        return 0, length
    size = int(rng.integers(max(2, length // 8), max(3, int(length * 0.6)) + 1))
    start = int(rng.integers(0, length - size + 1))
    return start, start + size


def _degraded(frames: list[NDArray[np.uint8]], rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    degrade = sample_degradation(rng)
    geometry = int(rng.integers(2**31))
    # the same seed for every frame: a cropper's bias is steady over a track
    return [degrade(place(frame, np.random.default_rng(geometry))) for frame in frames]


def _encode(
    judge: Judge,
    frames: list[NDArray[np.uint8]],
    times: NDArray[np.float64],
    is_fake: NDArray[np.bool_],
    *,
    source: str,
    dataset: str,
) -> Sequence:
    crops = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
    features = judge.encode(crops)
    logits = torch.stack([features.logits[n] for n in judge.names], dim=-1).numpy()
    tokens = FrameTokens(features.embeddings, features.fake_logit, torch.from_numpy(times))
    return Sequence(tokens, logits, is_fake, source, dataset)
