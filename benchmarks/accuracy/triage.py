"""Operating points of triage, and what it saves.

    python benchmarks/accuracy/triage.py --trained WORK --material FOLDER --work SCRATCH --out RESULT.json [--write]

--trained is the folder of the finished `vidguard train` that the weights come from: its split "val", which nothing was
trained on, gives the footage (looked for below --material) and single faces whose logits it kept. Clips are forged into
--work, and scores kept there, so that a second run goes on where one broke off. --write stores the points in the weight
set itself; run it again for every new set.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import cv2
import torch
import typer
from rich.progress import track as progress
from surroundings import environment
from triage_figures import MISSES, POPULATIONS, VIDEOS, Example, assumptions, fit_point, simulate
from triage_material import Copy, make_copies, native_clips

import vidguard
from vidguard.detector.triage import judge_crops, look, quick_detector
from vidguard.files import write_whole
from vidguard.training.sequences import judged_frames, load_sequences
from vidguard.video.keyframes import open_key_frames
from vidguard.video.source import Source
from vidguard.weights import (
    Passport,
    TriagePlan,
    TriagePoint,
    enter_in_manifest,
    find_weights,
    read_passport,
    write_passport,
)

MAX_FRAMES = 8
FUSED = "fused"
_POINTS = [(of, misses) for of in POPULATIONS for misses in MISSES]


def main(
    trained: Annotated[Path, typer.Option(help="Folder of the training that made the weights.")],
    material: Annotated[list[Path], typer.Option(help="Folder that the material's list names files in; repeatable.")],
    work: Annotated[Path, typer.Option(help="Folder for forged clips and scores.")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
    weights: Annotated[str | None, typer.Option(help="Weights by name or path; the default ones if left out.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Store the points in the weight set.")] = False,
) -> None:
    """Forge, score, fit, and write the result."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    detector = vidguard.load(weights, device="cpu")
    copies = make_copies(trained / "store", material, work / "copies", seed=20)
    videos = [_video(copy, _kept(copy, detector, work), detector) for copy in progress(copies, description="scoring")]
    singles = _singles(trained / "sequences.val.safetensors", detector)
    costs = _costs(native_clips(trained / "store", material, work / "copies"), detector)
    examples = [*videos, *singles]
    several = len(detector.judge.names) > 1  # one encoder's own logits order faces as the fused ones do
    candidates = (*detector.judge.names, FUSED) if several else (FUSED,)
    points = [_best(examples, candidates, m, of, costs) for of, m in _POINTS]
    result = {
        "what": "share of videos that a look at their key frames clears, fakes missed by it, and what that saves",
        "weights": detector.weights.name,
        "model_sha256": detector.weights.sha256,
        "environment": environment("torch"),
        "assumptions": assumptions(),
        "costs": costs,
        "points": points,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, (json.dumps(result, indent=1) + "\n").encode())
    if write:
        _store(find_weights(weights), points)
    typer.echo(json.dumps(result, indent=1))


def _best(
    examples: list[Example],
    names: tuple[str, ...],
    misses: float,
    of: str,
    costs: dict[str, Any],
) -> dict[str, Any]:
    """The point of the encoder that makes streams like the materials cheapest, with what the others would have cost."""
    rows = [fit_point(examples, name, misses, of) for name in names]
    for row in rows:
        row["simulation"] = simulate(costs, row)
    best = min(rows, key=lambda row: sum(row["simulation"]["share_of_full_cost_by_material"].values()))
    others = {
        row["encoder"]: {
            "cleared": row["materials"][VIDEOS]["cleared"],
            "share_of_full_cost": row["simulation"]["share_of_full_cost"],
        }
        for row in rows
    }
    return {**best, "candidates": others}


def _kept(copy: Copy, detector: vidguard.Detector, work: Path) -> dict[str, Any]:
    """A copy's scores: kept ones where these weights gave them to this file, else new ones."""
    digest = hashlib.sha256(copy.path.read_bytes() + detector.weights.sha256.encode()).hexdigest()[:16]
    file = work / f"{copy.path.stem}.{digest}.json"
    if not file.is_file():
        write_whole(file, json.dumps(_score(copy, detector)).encode())
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def _score(copy: Copy, detector: vidguard.Detector) -> dict[str, Any]:
    judge, faces = detector.judge, quick_detector(detector._face_detector)
    logits: dict[str, list[float]] = {name: [] for name in (*judge.names, FUSED)}
    with open_key_frames(copy.path, max_frames=MAX_FRAMES) as reader:
        for _, _, crops in look(reader, faces):
            features = judge.encode(crops)
            for name, values in {**features.logits, FUSED: features.fake_logit}.items():
                logits[name] += values.tolist()
        frames, damaged = reader.num_frames_decoded, reader.damaged
    # of genuine clips nobody asks: no miss is one of theirs
    fake_prob = detector.analyze(copy.path).fake_prob if copy.is_fake else None
    return {"frames": frames, "damaged": damaged, "logits": logits, "fake_prob": fake_prob}


def _video(copy: Copy, kept: dict[str, Any], detector: vidguard.Detector) -> Example:
    scores = {name: max(values) if values else None for name, values in kept["logits"].items()}
    found = kept["fake_prob"] is not None and kept["fake_prob"] >= detector.weights.threshold
    return Example(
        VIDEOS, copy.source, copy.is_fake, scores, kept["frames"], kept["damaged"], found=found, share=copy.share
    )


def _singles(sequences: Path, detector: vidguard.Detector) -> list[Example]:
    """Faces of stills: what triage sees of a video in one key frame."""
    judge, calibration, rule = detector.judge, detector.passport.calibration, detector.passport.rule(None)
    flagged = rule.frame.manipulated_from if rule else calibration.frame_threshold
    examples = []
    for sequence in judged_frames(load_sequences(sequences)):
        if len(sequence.is_fake) == 1:
            fused = float(judge.fuse(torch.from_numpy(sequence.logits)).detach()[0])
            logits = {**dict(zip(judge.names, map(float, sequence.logits[0]))), FUSED: fused}
            found = calibration.frame(fused) >= flagged
            fake = bool(sequence.is_fake[0])
            examples.append(Example(sequence.dataset, sequence.source, fake, logits, 1, found=found))
    return examples


def _costs(clips: list[Path], detector: vidguard.Detector) -> dict[str, Any]:
    """CPU milliseconds of every step on clips as they are, one thread a step where threads can be chosen."""
    rows = [_cost(clip, detector) for clip in clips]
    payload = io.BytesIO(bytes(1 << 25))
    hashing = _milliseconds(lambda: Source(payload, detector.config.limits)) / (payload.getbuffer().nbytes / 1e6)
    means = {key: round(sum(row[key] for row in rows) / len(rows), 2) for key in rows[0] if key.endswith("_ms")}
    encoders = {name: round(sum(row["encoders"][name] for row in rows) / len(rows), 2) for name in rows[0]["encoders"]}
    return {
        "clips": rows,
        "max_frames": MAX_FRAMES,
        "hash_ms_per_mb": round(hashing, 3),
        **means,
        "encoder_ms_per_face": encoders,
    }


def _cost(clip: Path, detector: vidguard.Detector) -> dict[str, Any]:
    faces = quick_detector(detector._face_detector)
    frames: list[Any] = []

    def decode() -> None:
        with open_key_frames(clip, max_frames=MAX_FRAMES) as reader:
            frames[:] = list(reader.batches())

    def opened() -> None:
        with open_key_frames(clip, max_frames=1):
            pass

    opening = _milliseconds(opened)
    decoding = _milliseconds(decode)
    found = [faces.detect(batch.frames)[0] for batch in frames]
    with open_key_frames(clip, max_frames=MAX_FRAMES) as reader:
        crops = torch.cat([crops for _, _, crops in look(reader, faces)])[:1]
    names: list[str | None] = [*detector.judge.names, None]
    encoders = {name or FUSED: _milliseconds(lambda n=name: judge_crops(detector.judge, crops, n)) for name in names}
    start = time.process_time()
    report = detector.analyze(clip)
    full = 1000 * (time.process_time() - start)
    info = report.source
    return {
        "clip": f"{info.width}x{info.height} {info.codec}, {report.coverage.seconds:.1f} s, {len(found)} key frames",
        "open_ms": round(opening, 2),
        "key_frame_ms": round((decoding - opening) / max(len(frames) - 1, 1), 2),
        "detection_ms": round(_milliseconds(lambda: faces.detect(frames[0].frames)), 2),
        "encoders": {name: round(value, 2) for name, value in encoders.items()},
        "full_per_second_ms": round(full / report.coverage.seconds, 1),
    }


def _milliseconds(step: Any) -> float:
    """Least CPU time of three calls, after one to warm up: what else runs on the machine only adds to it."""
    step()
    spent = []
    for _ in range(3):
        start = time.process_time()
        step()
        spent.append(1000 * (time.process_time() - start))
    return min(spent)


def _store(entry: Any, points: list[dict[str, Any]]) -> None:
    """Put the points into the weight set's passport, and its new sha256 into the manifest."""
    stored = tuple(
        TriagePoint(
            misses=p["misses"],
            of=p["of"],
            encoder=None if p["encoder"] == FUSED else p["encoder"],
            threshold=p["threshold"],
        )
        for p in points
    )
    videos = points[0]["materials"][VIDEOS]
    note = (
        f"{videos['genuine'] + videos['fakes']} validation clips of {videos['sources']} sources, and single faces of "
    )
    note += ", ".join(name for name in points[0]["materials"] if name != VIDEOS)
    passport: Passport = replace(read_passport(entry), triage=TriagePlan(MAX_FRAMES, stored, note))
    write_passport(entry.folder, passport)
    enter_in_manifest(entry.folder.parent, entry.name, entry.description, entry.licence)


if __name__ == "__main__":
    typer.run(main)
