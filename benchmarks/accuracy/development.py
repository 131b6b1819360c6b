"""Video-level figures on the development videos of a manifest: what the detector says of whole files, end to end.

    python benchmarks/accuracy/development.py --material INDEX.csv --out RESULT.json

The manifest has the columns path, label, dataset, split, group; its rows with split "dev" are analysed. A video without
a decision is counted as such and left out of the AUC, never scored 0.5.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import platform
import subprocess
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.progress import track

import vidguard
from vidguard.metrics import auc, bootstrap_auc, expected_calibration_error


def main(
    material: Annotated[Path, typer.Option(help="Manifest; paths are relative to it.")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
    weights: Annotated[str | None, typer.Option(help="Weights by name; the default ones if left out.")] = None,
    workers: Annotated[int, typer.Option(help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """Analyse every development video and write scores and figures."""
    detector = vidguard.load(weights, device="cpu")
    with material.open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "dev"]
    began = time.perf_counter()
    # a process a core, one thread each: small tensors gain nothing from threads
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start, initargs=(weights,)) as pool:
        work = pool.map(_score, rows, [material.parent] * len(rows))
        scores = list(track(work, description="analysing", total=len(rows)))
    result = {
        "what": "video-level figures on the development videos; fake_prob of whole files",
        "weights": detector.weights.name,
        "model_sha256": detector.weights.sha256,
        "threshold": detector.weights.threshold,
        "commit": _commit(),
        "vidguard": vidguard.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {workers} processes on {os.cpu_count()} cores, device cpu",
        "seconds": round(time.perf_counter() - began, 1),
        "figures": figures(scores, detector.weights.threshold),
        "scores": scores,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    typer.echo(json.dumps(result["figures"], indent=1))


_worker: dict[str, vidguard.Detector] = {}


def _start(weights: str | None) -> None:
    torch.set_num_threads(1)
    _worker["detector"] = vidguard.load(weights, device="cpu")


def _score(row: dict[str, str], root: Path) -> dict[str, Any]:
    report = _worker["detector"].analyze(root / row["path"])
    return {
        "path": row["path"],
        "dataset": row["dataset"],
        "group": row["group"],
        "kind": row["kind"],
        "is_fake": row["label"] == "fake",
        "status": report.status.value,
        "fake_prob": report.fake_prob,
        "mean_frame_prob": _mean_frame_prob(report),
        "seconds_judged": round(report.coverage.seconds_judged, 2),
    }


def figures(scores: list[dict[str, Any]], threshold: float) -> dict[str, Any]:
    """Figures for every data set and pooled; a data set with one class gets its flagged share only."""
    names = sorted({s["dataset"] for s in scores})
    return {name: _figures([s for s in scores if s["dataset"] == name], threshold) for name in names} | {
        "pooled": _figures(scores, threshold)
    }


def _figures(scores: list[dict[str, Any]], threshold: float) -> dict[str, Any]:
    judged = [s for s in scores if s["fake_prob"] is not None]
    truth = np.array([s["is_fake"] for s in judged])
    values = np.array([s["fake_prob"] for s in judged])
    result: dict[str, Any] = {
        "videos": len(scores),
        "no_decision": len(scores) - len(judged),
        "real": int((~truth).sum()),
        "fake": int(truth.sum()),
        "flagged_real": int((values[~truth] >= threshold).sum()),
        "flagged_fake": int((values[truth] >= threshold).sum()),
    }
    if truth.any() and not truth.all():
        groups = [s["group"] for s in judged]
        frames = np.array([s["mean_frame_prob"] for s in judged])
        result |= {
            "auc": round(auc(truth, values), 4),
            "auc_95": [round(v, 4) for v in bootstrap_auc(truth, values, groups)],
            "auc_mean_of_frames": round(auc(truth, frames), 4),
            "auc_mean_of_frames_95": [round(v, 4) for v in bootstrap_auc(truth, frames, groups)],
            "ece": round(expected_calibration_error(truth, values), 4),
        }
    return result


def _mean_frame_prob(report: vidguard.Report) -> float | None:
    values = [o.fake_prob for t in report.tracks for o in t.observations if o.fake_prob is not None]
    return float(np.mean(values)) if values else None


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    typer.run(main)
