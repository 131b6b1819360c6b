"""What each encoder adds: every one alone, all together, and all but one, by the same fusion on the same faces.

    python benchmarks/accuracy/ablation.py --work WORK --material INDEX.csv --out RESULT.json

--work is the folder of a finished `vidguard train`, whose encoded validation sequences the fusions are fitted on and
judged on; --material a manifest whose videos with split "dev" give the video figures (mean of frames), which chose
nothing. Costs are of one thread on this machine: hold them against each other.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import typer
from measured import measured
from numpy.typing import NDArray
from rich.progress import track as progress
from surroundings import environment

import vidguard
from vidguard.config import AnalysisConfig
from vidguard.detector import Judge
from vidguard.detector.cost import cost_of
from vidguard.detector.judge import FrameFeatures
from vidguard.encoders import ENCODERS
from vidguard.errors import VidguardError
from vidguard.metrics import auc
from vidguard.training.calibrate import fit_fusion
from vidguard.training.listing import Row, read_manifest
from vidguard.training.sequences import Sequence, judged_frames, load_sequences

_FRAMES_PER_SECOND: Final = 2.0  # a quarter of the analysis: enough for a mean over a video

FrameLogits = NDArray[np.float32]
"""(N, E): every face of a video's analysed frames by every encoder."""


def main(
    work: Annotated[Path, typer.Option(help="Folder of a finished training.")],
    material: Annotated[Path, typer.Option(help="Manifest with development videos; paths are relative to it.")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
    weights: Annotated[str | None, typer.Option(help="Weights of that training; the default ones if left out.")] = None,
) -> None:
    """Fit and judge every combination of encoders."""
    torch.set_num_threads(1)
    detector = vidguard.load(weights, device="cpu", config=AnalysisConfig(frames_per_second=_FRAMES_PER_SECOND))
    validation = judged_frames(load_sequences(work / "sequences.val.safetensors"))
    videos = _development(detector, material)
    names = detector.judge.names
    chosen = [*((n,) for n in names), *itertools.combinations(names, len(names) - 1), names]
    result = {
        "environment": environment("torch"),
        "what": "frame AUC on validation material and video AUC (mean of frames) on development videos, by encoders",
        "weights": detector.weights.name,
        "model_sha256": detector.weights.sha256,
        "cost": {name: _cost(name) for name in names},
        "rows": {" + ".join(c): _figures(c, names, validation, videos) for c in dict.fromkeys(chosen)},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    typer.echo(json.dumps(result, indent=1))


def _development(detector: vidguard.Detector, material: Path) -> list[tuple[Row, FrameLogits]]:
    rows = [r for r in read_manifest(material) if r.split == "dev"]
    found = []
    for row in progress(rows, description="development videos"):
        seen: list[FrameFeatures] = []
        detector.judge.encode = _listening(detector.judge, seen)  # type: ignore[method-assign]
        try:
            detector.analyze(material.parent / row.path)
        except VidguardError:
            continue  # no figure without a face; how many videos carry the figure is in the result
        finally:
            del detector.judge.encode
        if sum(len(features.fake_logit) for features in seen):
            logits = [torch.stack([f.logits[n] for n in detector.judge.names], dim=1) for f in seen]
            found.append((row, torch.cat(logits).numpy()))
    return found


def _listening(judge: Judge, seen: list[FrameFeatures]) -> Any:
    encode = type(judge).encode

    def listen(crops: torch.Tensor) -> FrameFeatures:
        seen.append(encode(judge, crops))
        return seen[-1]

    return listen


def _figures(
    chosen: tuple[str, ...], names: tuple[str, ...], validation: list[Sequence], videos: list[tuple[Row, FrameLogits]]
) -> dict[str, Any]:
    columns = [names.index(name) for name in chosen]
    judge = Judge(chosen, {})
    known = [replace(s, logits=s.logits[:, columns]) for s in validation]
    fit_fusion(judge, known)
    truth = np.concatenate([s.is_fake for s in known])
    family = np.array([s.dataset if len(s.is_fake) == 1 else "clips and forgeries" for s in known for _ in s.is_fake])
    frames = _fused(judge, np.concatenate([s.logits for s in known]))
    sources = np.array([s.source for s in known for _ in s.is_fake])
    result: dict[str, Any] = {"validation, frame": {}, "development, video": {}}
    for name in np.unique(family):
        at = family == name
        result["validation, frame"][str(name)] = measured("auc", auc, truth[at], frames[at], sources[at])
    rows = [row for row, _ in videos]
    scores = np.array([_fused(judge, logits[:, columns]).mean() for _, logits in videos])
    kinds = np.array([row.dataset for row in rows])
    fake, groups = np.array([row.is_fake for row in rows]), np.array([row.source for row in rows])
    for name in (*np.unique(kinds), "pooled"):
        at = np.full(len(rows), True) if name == "pooled" else kinds == name
        if fake[at].any() and not fake[at].all():
            result["development, video"][str(name)] = {
                **measured("auc", auc, fake[at], scores[at], groups[at]),
                "videos": int(at.sum()),
            }
    result["fusion"] = {name: round(float(w), 3) for name, w in zip(judge.names, judge.fusion.weight[0])}
    return result


def _fused(judge: Judge, logits: FrameLogits) -> NDArray[np.float32]:
    with torch.inference_mode():
        return judge.fuse(torch.from_numpy(np.ascontiguousarray(logits))).numpy()


def _cost(name: str) -> dict[str, float]:
    parameters = sum(p.numel() for p in ENCODERS[name]().parameters())
    return {"ms a face": cost_of(Judge((name,), {}))["processor_ms_a_face"], "parameters": parameters}


if __name__ == "__main__":
    typer.run(main)
