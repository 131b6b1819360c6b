"""Clips of generators, swap tools and cameras that nothing was trained on: weight sets side by side, worst first.

    python benchmarks/accuracy/generators.py --store WORK/store --weights base-v1 --weights base-v2 --out RESULT.json

--store is what `vidguard train` prepared; its split "val" was learnt from by nobody. Every clip's first seconds are
judged as they are, by the most suspicious face, and each degraded as footage is, once and the same for every set. A
family's fakes are told from its own genuine clips where it has any (both are then panels of one recording), else from
all genuine ones. Recall is at the threshold that 5 % of those genuine clips reach.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import typer
from measured import measured
from numpy.typing import ArrayLike, NDArray
from rich.progress import track as progress
from surroundings import environment

from vidguard.detector.judge import Judge, load_judge
from vidguard.metrics import auc, tpr_at_fpr
from vidguard.scoring.calibration import TrackReading
from vidguard.training.calibrate import score_sequence
from vidguard.training.material import Store, open_store
from vidguard.training.sequences import degraded, encode_track
from vidguard.weights import find_weights

_FALSE_ALARMS: Final = 0.05
_SEED: Final = 17
_ROWS: Final = ("as they are", "degraded")


@dataclass(frozen=True)
class Clip:
    """One clip: its data set, whether it is fake, its source, and the positions of each of its faces in the store."""

    dataset: str
    is_fake: bool
    source: str
    tracks: tuple[NDArray[np.int64], ...]


def main(
    store: Annotated[Path, typer.Option(help="Crops that training prepared.")],
    weights: Annotated[list[str], typer.Option(help="Weights by name (repeatable).")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
) -> None:
    """Judge every validation clip by every set."""
    crops = open_store(store)
    clips = clips_of(crops)
    result: dict[str, Any] = {
        "environment": environment("torch"),
        "what": "clips of the split val, none trained on: AUC, and recall at 5 % false alarms, of a clip's verdict and "
        "of the mean of its frames; intervals: 95 % bootstrap over sources",
        "genuine": sum(not clip.is_fake for clip in clips),
        "fake": sum(clip.is_fake for clip in clips),
        "weights": {},
    }
    for name in weights:
        entry = find_weights(name)
        judge, passport = load_judge(entry)
        reading = passport.calibration.video_reading
        assert reading is not None
        found: dict[str, Any] = {"model_sha256": entry.sha256["model.safetensors"]}
        for row in _ROWS:
            scores = [
                score(judge, reading, crops, clip, row == "degraded", number)
                for number, clip in enumerate(progress(clips, description=f"{name}, {row}"))
            ]
            found[row] = figures(clips, np.array(scores))
        result["weights"][name] = found
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    typer.echo(json.dumps(result, indent=1))


def clips_of(store: Store) -> list[Clip]:
    """The videos of the split val."""
    found: dict[tuple[str, str, bool, str], list[NDArray[np.int64]]] = {}
    for is_fake in (False, True):
        for index in store.tracks(split="val", minimum=1, is_fake=is_fake):
            row = store.rows[index[0]]
            found.setdefault((row.dataset, row.path, is_fake, row.source), []).append(index)
    return [Clip(dataset, fake, source, tuple(tracks)) for (dataset, _, fake, source), tracks in found.items()]


def score(
    judge: Judge, reading: TrackReading, store: Store, clip: Clip, degrade: bool, number: int
) -> tuple[float, float]:
    """Logits of the verdict and of the mean of frames of a clip's most suspicious face; -inf where none is judged."""
    return max(_faces(judge, reading, store, clip, degrade, number), default=(-math.inf, -math.inf))


def _faces(
    judge: Judge, reading: TrackReading, store: Store, clip: Clip, degrade: bool, number: int
) -> Iterator[tuple[float, float]]:
    for index in clip.tracks:
        frames = [np.asarray(store.crops[i]) for i in index]
        if degrade:
            frames = degraded(frames, np.random.default_rng([_SEED, number]))
        times = np.array([store.rows[i].time for i in index])
        truth = np.full(len(index), clip.is_fake)
        track = encode_track(judge, frames, times, truth, source=clip.source, dataset=clip.dataset)
        verdict = score_sequence(judge, track).logit(reading)
        if verdict is not None:
            yield verdict, float(track.tokens.frame_logits[torch.from_numpy(track.is_judged)].mean())


def figures(clips: list[Clip], scores: NDArray[np.float64]) -> dict[str, Any]:
    """By family, the worst first, and pooled. scores: (N, 2), the verdict's and the mean of frames' of each clip."""
    families = {}
    truth = np.array([clip.is_fake for clip in clips])
    sets = np.array([clip.dataset for clip in clips])
    for family in np.unique(sets[truth]):
        own = sets == family
        genuine = own & ~truth if (own & ~truth).sum() >= 5 else ~truth
        families[str(family)] = _figures(clips, scores, (own & truth) | genuine)
    ordered = sorted(families.items(), key=lambda item: item[1]["auc"])
    mean = {key: round(float(np.mean([f[key] for f in families.values()])), 4) for key in ("auc", "recall")}
    return {"pooled": _figures(clips, scores, np.ones(len(clips), bool)), "mean_of_families": mean, **dict(ordered)}


def _figures(clips: list[Clip], scores: NDArray[np.float64], at: NDArray[np.bool_]) -> dict[str, Any]:
    chosen = [clip for clip, a in zip(clips, at) if a]
    truth, sources = [clip.is_fake for clip in chosen], [f"{clip.dataset}/{clip.source}" for clip in chosen]
    verdict, mean = scores[at].T
    return {
        "genuine": truth.count(False),
        "fake": truth.count(True),
        "sources": len(set(sources)),
        **measured("auc", auc, truth, verdict, sources),
        **measured("recall", _recall, truth, verdict, sources),
        **measured("auc_mean_of_frames", auc, truth, mean, sources),
        **measured("recall_mean_of_frames", _recall, truth, mean, sources),
    }


def _recall(is_fake: ArrayLike, scores: ArrayLike) -> float:
    return tpr_at_fpr(is_fake, scores, _FALSE_ALARMS)


if __name__ == "__main__":
    typer.run(main)
