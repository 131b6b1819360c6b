"""How small and how blurred may a face be to be told from a forged one? `AnalysisConfig.min_detail` was chosen so.

    python benchmarks/accuracy/blurred_faces.py --material INDEX.csv --out RESULT.json

Validation pictures of split "val", genuine and fake, are reduced to faces of 40 to 160 px, left sharp or blurred by
motion in some direction or evenly, encoded as H.264, and cut and judged as the pipeline does with a still. Figures are
given by `Quality.detail`, which says more than the size or the blur that was put on.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.progress import track as progress
from surroundings import environment

from vidguard.config import FaceConfig
from vidguard.detector.judge import Judge, load_judge
from vidguard.encoders import CROP
from vidguard.errors import SourceError
from vidguard.faces import FaceDetector, crop_faces, measure_quality
from vidguard.forge import h264
from vidguard.metrics import auc
from vidguard.training.listing import Row, read_manifest
from vidguard.video import open_source
from vidguard.weights import find_weights

Picture = NDArray[np.uint8]
_SETS: Final = ("dfdc", "mesonet", "openforensics")
_FACE_PX: Final = (40, 50, 60, 80, 110, 160)
_BLURS: Final = (0.04, 0.08, 0.12, 0.18, 0.25, 0.35)
"""Length of the path that smears a face, in sides of its box; an even blur has the same standard deviation."""
_CRF: Final = (18, 36)
_LEAST_PX: Final = 70.0  # a picture of a smaller face has nothing to lose
_DETAIL: Final = (0.0, 1.4, 1.65, 1.9, 2.2, 2.6, 99.0)


@dataclass(frozen=True)
class Seen:
    """One degraded face and what was made of it. blur: "sharp", "motion" or "even"."""

    is_fake: bool
    face_px: float
    blur: str
    detail: float
    logit: float


def main(
    material: Annotated[list[Path], typer.Option(help="Manifest; paths are relative to it.")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
    weights: Annotated[str | None, typer.Option(help="Weights by name; the default ones if left out.")] = None,
    each: Annotated[int, typer.Option(help="Pictures of each class of each set.")] = 100,
    ways: Annotated[int, typer.Option(help="Degraded versions of each picture.")] = 8,
) -> None:
    """Degrade, judge and count."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    entry = find_weights(weights)
    judge, passport = load_judge(entry)
    detector = FaceDetector(FaceConfig())
    listed = [(index.parent / row.path, row) for index in material for row in read_manifest(index)]
    listed = [(path, row) for path, row in listed if row.split == "val" and row.dataset in _SETS]
    count: Counter[tuple[str, bool]] = Counter()
    seen: list[Seen] = []
    for number in progress(rng.permutation(len(listed)), description="pictures"):
        path, row = listed[number]
        if count[row.dataset, row.is_fake] < each and (faces := _degraded(path, row, detector, judge, ways, rng)):
            count[row.dataset, row.is_fake] += 1
            seen += faces
    platt, threshold = passport.calibration.frame, passport.calibration.frame_threshold
    flagged_from = (np.log(threshold / (1 - threshold)) - platt.offset) / platt.slope
    sharp = {px: [s.detail for s in seen if s.blur == "sharp" and abs(s.face_px - px) < 5] for px in _FACE_PX}
    result = {
        "what": "validation pictures, reduced, blurred and compressed, by the detail of the face that is left; "
        "flagged by the threshold of stills",
        "environment": environment("torch", "av"),
        "weights": entry.name,
        "model_sha256": entry.sha256["model.safetensors"],
        "pictures": {f"{name}, {'fake' if fake else 'real'}": n for (name, fake), n in sorted(count.items())},
        "by_detail": [
            {"from": low, "below": high, **_figures([s for s in seen if low <= s.detail < high], flagged_from)}
            for low, high in pairwise(_DETAIL)
        ],
        "detail_of_sharp_faces_at_1_5_50_percent": {
            str(px): [round(float(q), 2) for q in np.quantile(values, (0.01, 0.05, 0.5))]
            for px, values in sharp.items()
            if values
        },
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    typer.echo(json.dumps(result, indent=1))


def _degraded(
    path: Path, row: Row, detector: FaceDetector, judge: Judge, ways: int, rng: np.random.Generator
) -> list[Seen]:
    """Several versions of one picture; none where no face large enough is found."""
    try:
        with open_source(path) as reader:
            frame = next(reader.batches()).frames
    except (SourceError, StopIteration):
        return []
    found = detector.detect(frame)[0]
    side = float((found.boxes_xyxy_px[0, 2:] - found.boxes_xyxy_px[0, :2]).prod().sqrt()) if len(found) else 0.0
    if side < _LEAST_PX:
        return []
    picture = np.ascontiguousarray(frame[0].permute(1, 2, 0).numpy())
    crops, boxes, points, blurs = [], [], [], []
    for _ in range(ways):
        face_px = min(float(rng.choice(_FACE_PX)), side)
        blur, length = str(rng.choice(("sharp", "motion", "even"))), float(rng.choice(_BLURS)) * face_px
        size = [max(2 * round(extent * face_px / side / 2), 16) for extent in picture.shape[1::-1]]
        small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        if blur == "motion":
            small = _smear(small, length, float(rng.uniform(0, np.pi)))
        elif blur == "even":
            small = np.asarray(cv2.GaussianBlur(small, (0, 0), length / np.sqrt(12)), np.uint8)
        coded = torch.from_numpy(h264([small], int(rng.integers(*_CRF)))[0]).permute(2, 0, 1)[None]
        scale = torch.tensor([size[0] / picture.shape[1], size[1] / picture.shape[0]])
        points.append(found.landmarks_px[0] * scale)
        boxes.append(found.boxes_xyxy_px[0] * scale.repeat(2))
        crops.append(crop_faces(coded[0], points[-1][None], CROP))
        blurs.append(blur)
    qualities = measure_quality(torch.cat(crops), torch.stack(boxes), torch.stack(points))
    logits = judge.encode(torch.cat(crops)).fake_logit.tolist()
    return [Seen(row.is_fake, q.face_px, b, q.detail or 0.0, logit) for q, b, logit in zip(qualities, blurs, logits)]


def _smear(picture: Picture, length: float, angle: float) -> Picture:
    """Blur along a straight path of so many pixels."""
    side = 2 * int(np.ceil(length / 2)) + 3
    kernel = np.zeros((side, side), np.float32)
    steps = np.linspace(-length / 2, length / 2, 8 * side)
    for x, y in zip(side // 2 + steps * np.cos(angle), side // 2 + steps * np.sin(angle)):
        kernel[int(y) : int(y) + 2, int(x) : int(x) + 2] += np.outer((1 - y % 1, y % 1), (1 - x % 1, x % 1))
    return np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE), np.uint8)


def _figures(seen: list[Seen], flagged_from: float) -> dict[str, Any]:
    truth, logits = np.array([s.is_fake for s in seen], bool), np.array([s.logit for s in seen])
    flagged = logits >= flagged_from
    return {
        "genuine": int((~truth).sum()),
        "fake": int(truth.sum()),
        "blurs": dict(Counter(s.blur for s in seen)),
        "frame_auc": round(auc(truth, logits), 3),
        "genuine_flagged": round(float(flagged[~truth].mean()), 3),
        "fake_flagged": round(float(flagged[truth].mean()), 3),
    }


if __name__ == "__main__":
    typer.run(main)
