"""Video-level figures on the development videos of a manifest, end to end, beside a peer on the same files.

    python benchmarks/accuracy/development.py --material INDEX.csv --work DIR --out RESULT.json --peer MesoInception.h5

The manifest's rows with split "dev" are analysed. A video without a decision is counted as such and left out of the
AUC, never scored 0.5. --work keeps the scores, so that a stopped run goes on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from measured import measured
from peer_mesonet import MesoNetPeer
from rich.progress import Progress

from vidguard.metrics import auc, expected_calibration_error
from vidguard.protocols.conduct import Measured, conduct
from vidguard.protocols.items import Listing
from vidguard.protocols.layouts import LAYOUTS, LayoutOptions
from vidguard.protocols.measure import compare
from vidguard.protocols.protocol import DEEPFAKEBENCH, VIDGUARD, Protocol
from vidguard.protocols.result import ScoredItem
from vidguard.protocols.run import MakeSubject
from vidguard.protocols.subject import VidguardSubject


def main(
    material: Annotated[Path, typer.Option(help="Manifest; paths are relative to it.")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
    work: Annotated[Path, typer.Option(help="Folder for scores and pages.")],
    weights: Annotated[str | None, typer.Option(help="Weights by name; the default ones if left out.")] = None,
    peer: Annotated[
        Path | None, typer.Option(help="The MesoNet authors' weight file; without it no peer runs.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """Analyse every development video and write scores and figures."""
    listing = LAYOUTS["csv"](material, LayoutOptions("dev"))
    own = _measured(listing, partial(VidguardSubject, weights, "cpu"), VIDGUARD, work / "vidguard", workers)
    about = own.result.detector
    threshold = own.result.pooled.threshold
    result: dict[str, Any] = {
        "what": "video-level figures on the development videos; fake_prob of whole files",
        "weights": about.name,
        "model_sha256": about.sha256,
        "threshold": threshold,
        "environment": own.result.environment,
        "item_seconds": own.result.item_seconds,
        "figures": figures(own.scored, threshold),
        "scores": [_row(s) for s in own.scored],
    }
    if peer is not None:
        other = _measured(listing, partial(MesoNetPeer, peer), DEEPFAKEBENCH, work / "peer", workers)
        comparison = compare(own.scored, other.scored)
        result["peer"] = {
            "name": other.result.detector.name,
            "sha256": other.result.detector.sha256,
            "protocol": other.result.protocol,
            "item_seconds": other.result.item_seconds,
            "figures": figures(other.scored, 0.5),
            "auc_difference": comparison.difference.value,
            "auc_difference_95_by_source": comparison.difference_by_source
            and [comparison.difference_by_source.low, comparison.difference_by_source.high],
            "delong_p": comparison.p_value,
        }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    typer.echo(json.dumps({k: v for k, v in result.items() if k != "scores"}, indent=1))


def _measured(listing: Listing, make_subject: MakeSubject, protocol: Protocol, folder: Path, workers: int) -> Measured:
    with Progress() as progress:
        task = progress.add_task(folder.name, total=len(listing.items))
        return conduct(
            listing,
            make_subject,
            protocol,
            folder,
            workers=workers,
            on_score=lambda _, done, total: progress.update(task, completed=done),
        )


def _dataset(scored: ScoredItem) -> str:
    return scored.item.source.split("/")[0]  # the manifest's sources are named within their data set


def _row(scored: ScoredItem) -> dict[str, Any]:
    item, score = scored.item, scored.score
    return {
        "path": item.id,
        "dataset": _dataset(scored),
        "source": item.source,
        "method": item.method,
        "is_fake": item.is_fake,
        "status": score.status,
        "fake_prob": score.fake_prob,
        "mean_frame_prob": _mean_of_frames(scored),
    }


def _mean_of_frames(scored: ScoredItem) -> float | None:
    values = [f.fake_prob for f in scored.score.frames]
    return float(np.mean(values)) if values else None


def figures(scores: Sequence[ScoredItem], threshold: float) -> dict[str, Any]:
    """Figures for every data set and pooled; a data set with one class gets its flagged share only."""
    names = sorted({_dataset(s) for s in scores})
    return {name: _figures([s for s in scores if _dataset(s) == name], threshold) for name in names} | {
        "pooled": _figures(scores, threshold)
    }


def _figures(scores: Sequence[ScoredItem], threshold: float) -> dict[str, Any]:
    judged = [s for s in scores if s.score.fake_prob is not None]
    truth = np.array([s.item.is_fake for s in judged], bool)
    values = np.array([s.score.fake_prob for s in judged], np.float64)
    result: dict[str, Any] = {
        "videos": len(scores),
        "no_decision": len(scores) - len(judged),
        "real": int((~truth).sum()),
        "fake": int(truth.sum()),
        "flagged_real": int((values[~truth] >= threshold).sum()),
        "flagged_fake": int((values[truth] >= threshold).sum()),
    }
    if truth.any() and not truth.all():
        sources = [s.item.source for s in judged]
        frames = np.array([_mean_of_frames(s) for s in judged], np.float64)
        result |= {
            **measured("auc", auc, truth, values, sources, rounds=1000),
            **measured("auc_mean_of_frames", auc, truth, frames, sources, rounds=1000),
            "ece": round(expected_calibration_error(truth, values), 4),
        }
    return result


if __name__ == "__main__":
    typer.run(main)
