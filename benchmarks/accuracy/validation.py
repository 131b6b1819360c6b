"""Frame-level figures on validation crops: every encoder, every kind of material, and after every degradation.

    python benchmarks/accuracy/validation.py --store WORK/store --out RESULT.json

--store is what `vidguard train` prepared; nothing in its "val" split was trained on. Scores are raw frame logits: the
default weights' fusion, and each encoder alone. After degradation the calibration and thresholds stay those fitted on
the crops as they are: the ECE and the share of genuine crops flagged say where they stop to hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import cv2
import numpy as np
import torch
import typer
from measured import measured
from numpy.typing import NDArray
from rich.progress import track as progress
from surroundings import environment

from vidguard.detector.judge import Judge, load_judge
from vidguard.forge import h264, jpeg, rescale
from vidguard.metrics import accuracy, auc, clopper_pearson_interval, eer, expected_calibration_error
from vidguard.scoring.calibration import Calibration
from vidguard.training.material import Store, open_store
from vidguard.weights import find_weights

Picture = NDArray[np.uint8]
Change = Callable[[Picture], Picture]
_GENERATED: Final = ("stylegan_140k", "stylegan2_tpdne", "stylegan3", "stylegan_vedant", "sd3_fakerjs")
SETS: Final = {
    "dfdc": ("dfdc",),
    "mesonet": ("mesonet",),
    "ciplab (hand-edited)": ("ciplab",),
    "generated": (*_GENERATED, "ffhq", "uscongress", "vedant_stock"),
    "openforensics (GAN swap)": ("openforensics",),
}
DEGRADED: Final[dict[str, Change]] = {
    "H.264 crf 35": lambda picture: h264([picture], 35)[0],
    "half size": lambda picture: rescale(picture, 0.5),
    "blur, sigma 1.5 px": lambda picture: np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.5), np.uint8),
    "JPEG 50": lambda picture: jpeg(picture, 50),
}
_SAMPLE: Final = 1000  # crops a set in the degraded runs: two cores take a minute for each of them
_LABELS: Final = ("genuine", "undecided", "manipulated")


def main(
    store: Annotated[Path, typer.Option(help="Crops that training prepared.")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
    weights: Annotated[str | None, typer.Option(help="Weights by name; the default ones if left out.")] = None,
    limit: Annotated[int | None, typer.Option(help="Crops of a set, to try it out; all if left out.")] = None,
) -> None:
    """Score validation crops as they are and degraded."""
    crops = open_store(store)
    entry = find_weights(weights)
    judge, passport = load_judge(entry)
    calibration = passport.calibration
    rng = np.random.default_rng(0)
    result: dict[str, Any] = {
        "environment": environment("torch"),
        "what": "frame AUC on validation crops; accuracy at a calibrated probability of 0.5; ECE and shares flagged by "
        "the calibration and the threshold of stills that were fitted on crops as they are",
        "threshold": calibration.frame_threshold,
        "weights": entry.name,
        "model_sha256": entry.sha256["model.safetensors"],
        "sets": {},
        "degraded": {},
    }
    for name in SETS:
        result["sets"][name] = figures(judge, calibration, crops, *validation_crops(crops, name, limit))
    for name in ("dfdc", "mesonet"):
        index = rng.permutation(crops.where(split="val", datasets=SETS[name]))[: min(limit or _SAMPLE, _SAMPLE)]
        rows = {"as it is": None, **DEGRADED}
        result["degraded"][name] = {
            label: figures(judge, calibration, crops, index, change)["fused"]
            for label, change in progress(rows.items(), description=f"{name}, degraded")
        }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    typer.echo(json.dumps(result, indent=1))


def validation_crops(store: Store, name: str, limit: int | None) -> tuple[NDArray[np.int64], Change | None]:
    """Positions of the crops of one of the `SETS`, and what is done to each of them before it is judged.

    limit: as many at most, seeded, half of them of each class where it has so many.
    """
    # crops of the sets of generated faces come in different files: both classes get one more, equal encoding
    alike = (lambda picture: jpeg(picture, 75)) if name == "generated" else None
    index = store.where(split="val", datasets=SETS[name])
    if limit is None:
        return index, alike
    index = np.random.default_rng(1).permutation(index)
    truth = np.array([store.rows[i].is_fake for i in index], bool)
    return np.sort(np.concatenate([index[truth][: limit // 2], index[~truth][: limit // 2]])), alike


def figures(
    judge: Judge, calibration: Calibration, store: Store, index: NDArray[np.int64], change: Change | None
) -> dict[str, Any]:
    """What the fusion and each encoder make of crops: AUC with an interval by source, and decisions by the fusion."""
    truth = np.array([store.rows[i].is_fake for i in index])
    # a crop of unknown source stands for itself
    groups = [store.rows[i].source for i in index]
    scores = _scores(judge, store, index, change)
    found: dict[str, Any] = {"real": int((~truth).sum()), "fake": int(truth.sum()), "sources": len(set(groups))}
    for name, values in scores.items():
        found[name] = measured("auc", auc, truth, values, groups)
    probabilities = np.array([calibration.frame(float(v)) for v in scores["fused"]])
    found["fused"] |= {
        "accuracy": round(accuracy(truth, probabilities), 4),
        "eer": round(eer(truth, scores["fused"]), 4),
        "ece": round(expected_calibration_error(truth, probabilities), 4),
        "mean_stated": round(float(probabilities.mean()), 4),
        "genuine": _flagged(probabilities[~truth], calibration),
        "manipulated": _flagged(probabilities[truth], calibration),
    }
    return found


def _flagged(probabilities: NDArray[np.float64], calibration: Calibration) -> dict[str, Any]:
    """Share of one class at or above the threshold, and what each decision rule calls it."""
    flagged = probabilities >= calibration.frame_threshold
    low, high = clopper_pearson_interval(int(flagged.sum()), len(flagged))
    figures: dict[str, Any] = {
        "flagged": round(float(flagged.mean()), 4),
        "flagged_95": [round(low, 4), round(high, 4)],
        "decisions": {},
    }
    for rule in calibration.rules:
        labels = [rule.frame.label(p) for p in probabilities]
        shares = {label: round(labels.count(label) / len(labels), 4) for label in _LABELS}
        figures["decisions"][f"{rule.error_rate:g}"] = shares
    return figures


def _scores(
    judge: Judge, store: Store, index: NDArray[np.int64], change: Change | None
) -> dict[str, NDArray[np.float32]]:
    """Logits (N,) of the fusion and of every encoder."""
    parts: dict[str, list[NDArray[np.float32]]] = {}
    for start in range(0, len(index), 64):
        pictures = [np.asarray(store.crops[i]) for i in index[start : start + 64]]
        if change is not None:
            pictures = [change(picture) for picture in pictures]
        features = judge.encode(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2))
        for name, logits in {"fused": features.fake_logit, **features.logits}.items():
            parts.setdefault(name, []).append(logits.numpy())
    return {name: np.concatenate(values) for name, values in parts.items()}


if __name__ == "__main__":
    typer.run(main)
