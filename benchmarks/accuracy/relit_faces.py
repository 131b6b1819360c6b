"""How alike a face is to itself in another light, and to other people's: what carries a track through stage light.

    python benchmarks/accuracy/relit_faces.py --material INDEX.csv --out RESULT.json

Of the manifest's genuine videos of split "train" (75, drawn at random), two frames an eighth of a second apart: the
second as it is and in light that changes as its pixels are worked on. Compared are colours ("looks") and the shape of
brightness, as it is and smoothed, by the cosines that the tracker compares; people of two groups are two people.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import torch
import torch.nn.functional as F
import typer
from numpy.typing import NDArray
from rich.progress import track as progress
from surroundings import environment
from torch import Tensor

from vidguard.config import FaceConfig
from vidguard.errors import SourceError
from vidguard.faces import FaceDetector, align_crops
from vidguard.faces.follower import LOOKS_CROP, MID_GREY, smooth_shape
from vidguard.faces.scene import structure
from vidguard.training.listing import is_video, read_manifest
from vidguard.video import open_source

_VIDEOS: Final = 75
_SIDE: Final = 480
_LAMPS: Final = ((1, 0.3, 0.25), (0.25, 0.35, 1), (0.3, 1, 0.4), (1, 0.9, 0.3), (0.1, 0.1, 1), (1, 0.1, 0.1))
_LIGHTS: Final = ("as it is", "coloured", "coloured haze", "dim", "from the side", "exposure")


def main(
    material: Annotated[Path, typer.Option(help="Manifest; paths are relative to it.")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
) -> None:
    """Compare faces with themselves and each other."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    detector = FaceDetector(FaceConfig(max_detection_side_px=_SIDE))
    rows = [r for r in read_manifest(material) if r.split == "train" and not r.is_fake and is_video(r.path)]
    people: list[tuple[str, dict[str, Tensor]]] = []
    same: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for k in progress(rng.permutation(len(rows))[:_VIDEOS], description="videos"):
        try:
            with open_source(material.parent / rows[k].path) as reader:
                start = reader.info.start_seconds
                frames = reader.frames_at([start + 0.5, start + 0.625]).frames
        except SourceError:
            continue
        first = _compared(detector, frames[:1]) if len(frames) == 2 else None
        if first is None:
            continue
        people.append((rows[k].source, first))
        for light in _LIGHTS:
            second = _compared(detector, _lit(frames[1], light, rng))
            if second is not None:
                for name, vector in first.items():
                    same[name][light].append(float(vector @ second[name]))
    result = {
        "environment": environment("torch", "av"),
        "what": "cosines of faces: 5 and 50 % quantiles with themselves by light, 50 and 99 % with other people",
        "faces": len(people),
        "by_description": {name: _figures(name, same[name], people) for name in same},
    }
    out.write_text(json.dumps(result, indent=1) + "\n")
    typer.echo(json.dumps(result, indent=1))


def _figures(name: str, same: dict[str, list[float]], people: list[tuple[str, dict[str, Tensor]]]) -> dict[str, object]:
    others = [float(a[name] @ b[name]) for k, (who, a) in enumerate(people) for whom, b in people[:k] if who != whom]
    lit = [value for light in _LIGHTS[1:] for value in same[light]]
    bound = float(np.quantile(others, 0.99))
    return {
        "by_light": {light: np.quantile(same[light], (0.05, 0.5)).round(3).tolist() for light in _LIGHTS},
        "in_other_light": np.quantile(lit, (0.05, 0.5)).round(3).tolist(),
        "other_people": np.quantile(others, (0.5, 0.99)).round(3).tolist(),
        "in_other_light_above_99_percent_of_other_people": round(float(np.mean(np.array(lit) > bound)), 3),
    }


def _compared(detector: FaceDetector, frame: Tensor) -> dict[str, Tensor] | None:
    """Unit vectors of the largest face of one frame (1, 3, H, W)."""
    found = detector.detect(frame)[0]
    if not len(found):
        return None
    crop = align_crops(frame, torch.zeros(1, dtype=torch.long), found.landmarks_px[:1], LOOKS_CROP).float()
    looks = F.normalize(crop.flatten(1) - MID_GREY, dim=1)[0]
    return {"looks": looks, "shape": structure(crop.mean(1, keepdim=True))[0], "smoothed": smooth_shape(crop)[0]}


def _lit(frame: Tensor, light: str, rng: np.random.Generator) -> Tensor:
    """A frame (3, H, W) uint8 in another light, (1, 3, H, W)."""
    x: NDArray[np.float32] = frame.permute(1, 2, 0).numpy().astype(np.float32)
    lamp = np.array(_LAMPS[int(rng.integers(len(_LAMPS)))])
    side = np.linspace(0.25, 1.2, x.shape[1])[None, :, None]
    changed = {
        "as it is": x,
        "coloured": x * lamp,
        "coloured haze": (x * 0.8 + 25) * lamp,
        "dim": x * 0.25,
        "from the side": x * side,
        "exposure": 255 * (x / 255) ** float(rng.choice([0.5, 1.8])),
    }[light]
    return torch.from_numpy(np.clip(changed, 0, 255).round().astype(np.uint8)).permute(2, 0, 1)[None]


if __name__ == "__main__":
    typer.run(main)
