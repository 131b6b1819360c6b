"""How often cuts and dissolves are found, and how often light, motion and the camera are taken for one.

    python benchmarks/accuracy/cuts.py CLIP CLIP CLIP ... --out RESULT.json

CLIP: pristine clips that no figure of a published table rests on; those whose names begin alike, up to "__", are of one
series, often one room and person. Every frame of their first seconds at the analysis's rate is compared with the one
before, as they are, and in light that changes as their pixels are worked on; cuts are joins of two clips, dissolves mix
the end of one with the beginning of another while both go on. `vidguard.faces.scene`'s numbers were chosen so.
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
from numpy.typing import NDArray
from surroundings import environment

from vidguard.config import AnalysisConfig
from vidguard.faces.scene import Change, SceneFinder
from vidguard.video import open_source

Frames = NDArray[np.uint8]
"""(T, H, W, 3) RGB."""
_SIDE: Final = 96
_MOST_FRAMES: Final = 64
_RATE: Final = AnalysisConfig().frames_per_second
_LAMPS: Final = np.array([[1, 0.3, 0.25], [0.25, 0.35, 1], [0.3, 1, 0.4], [1, 0.9, 0.3], [0.1, 0.1, 1], [1, 0.1, 0.1]])


def main(
    clips: Annotated[list[Path], typer.Argument(help="Pristine clips.")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
) -> None:
    """Read the clips, change them, and count what is found."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    result = {
        "environment": environment("torch", "av"),
        "what": f"frames at {_RATE:g} a second; joins and dissolves of two clips",
        "clips": len(clips),
        **measure({path.name: read(path) for path in clips}),
    }
    out.write_text(json.dumps(result, indent=1) + "\n")
    typer.echo(json.dumps(result, indent=1))


def read(path: Path) -> Frames:
    """A clip's first frames, reduced."""
    frames: list[Frames] = []
    with open_source(path) as reader:
        for batch in reader.batches(frames_per_second=_RATE):
            for frame in batch.frames:
                picture = frame.permute(1, 2, 0).contiguous().numpy()
                scale = _SIDE / min(picture.shape[:2])
                frames.append(np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)))
            if len(frames) >= _MOST_FRAMES:
                break
    return np.stack(frames[:_MOST_FRAMES])


def measure(clips: dict[str, Frames]) -> dict[str, Any]:
    """Rates by kind of change."""
    rng = np.random.default_rng(0)
    names = sorted(clips)
    series = {name: name.split("__")[0] for name in names}
    pairs = [(a, b) for a in names for b in names if a != b]
    rng.shuffle(pairs)
    alike = [(a, b) for a, b in pairs if series[a] == series[b]][:200]
    other = [(a, b) for a, b in pairs if series[a] != series[b]][:200]
    few = names[::6]
    return {
        "ordinary": _false([clips[name] for name in names]),
        "light": {kind: _false([change(clips[name]) for name in few]) for kind, change in LIGHT.items()},
        "camera": {kind: _false([move(clips[name]) for name in few]) for kind, move in CAMERA.items()},
        "cuts": {
            "of one series": _cuts([(clips[a], clips[b]) for a, b in alike]),
            "of two series": _cuts([(clips[a], clips[b]) for a, b in other]),
        },
        "dissolves": {f"{s:g} s": _dissolves([(clips[a], clips[b]) for a, b in other], s, rng) for s in DISSOLVES},
    }


def _found(frames: Frames) -> list[tuple[Change, float | None]]:
    times = [n / _RATE for n in range(len(frames))]
    return SceneFinder().push(torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2), times)


def _false(clips: list[Frames]) -> dict[str, int]:
    """Of frames in clips of one scene."""
    found = [change for clip in clips for change in _found(clip)]
    return {
        "frames": len(found),
        "cuts": sum(change is Change.CUT and since is None for change, since in found),
        "doubtful": sum(change is Change.DOUBTFUL for change, _ in found),
        "blends": sum(since is not None for _, since in found),
    }


def _cuts(pairs: list[tuple[Frames, Frames]]) -> dict[str, int]:
    found = [_found(np.stack([a[-1], _like(b[:1], a)[0]]))[1][0] for a, b in pairs]
    return {
        "joins": len(found),
        "cuts": sum(change is Change.CUT for change in found),
        "doubtful": sum(change is Change.DOUBTFUL for change in found),
    }


DISSOLVES: Final = (0.3, 0.5, 1.0, 1.5, 2.0)


def _dissolves(pairs: list[tuple[Frames, Frames]], seconds: float, rng: np.random.Generator) -> dict[str, float]:
    """Share of mixed frames (5 % and more of either) that are called so, and of others around them."""
    mixed, plain, ended = [], [], []
    for a, b in pairs[:40]:
        frames, alpha = dissolve(a, _like(b[:32], a), seconds, float(rng.uniform(0, 1 / _RATE)))
        called = np.zeros(len(frames), bool)
        for index, (_, since) in enumerate(_found(frames)):
            if since is not None:
                called[round(since * _RATE) : index] = True
        inside = (alpha > 0.05) & (alpha < 0.95)
        mixed += called[inside].tolist()
        plain += called[(alpha == 0) | (alpha == 1)].tolist()
        ended.append(bool(called[inside].mean() > 0.5) if inside.any() else True)
    return {
        "dissolves": len(ended),
        "found": round(float(np.mean(ended)), 3),
        "mixed_frames_dropped": round(float(np.mean(mixed)), 3),
        "plain_frames_dropped": round(float(np.mean(plain)), 3),
    }


def dissolve(a: Frames, b: Frames, seconds: float, phase: float) -> tuple[Frames, NDArray[np.float64]]:
    """Mix the end of a into the beginning of b, one second of each alone around it; alpha (T,) is b's share."""
    count = int(2 * _RATE + seconds * _RATE)
    alpha = np.clip((np.arange(count) / _RATE - 1.0 - phase) / seconds, 0, 1)
    first = np.stack([a[k % len(a)] for k in range(count)]).astype(np.float32)
    second = np.stack([b[k % len(b)] for k in range(count)]).astype(np.float32)
    share = alpha[:, None, None, None].astype(np.float32)
    return (first * (1 - share) + second * share).round().astype(np.uint8), alpha


def _like(frames: Frames, other: Frames) -> Frames:
    """Frames in another clip's size."""
    size = (other.shape[2], other.shape[1])
    return np.stack([np.asarray(cv2.resize(f, size, interpolation=cv2.INTER_AREA), np.uint8) for f in frames])


def _light(gain: Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[Any]]) -> Callable[[Frames], Frames]:
    def change(frames: Frames) -> Frames:
        lit = gain(frames.astype(np.float32), np.arange(len(frames)))
        return np.asarray(np.clip(lit, 0, 255).round(), np.uint8)

    return change


def _by_frame(values: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(values)[:, None, None, None]


def _side(x: NDArray[np.float32], k: NDArray[np.int64]) -> NDArray[Any]:
    ramp = np.linspace(0.25, 1.2, x.shape[2])[None, None, :, None]
    return np.asarray(np.where(_by_frame(k // 4 % 2), x * ramp, x * ramp[:, :, ::-1]))


def _through_white(x: NDArray[np.float32], k: NDArray[np.int64]) -> NDArray[Any]:
    white = _by_frame(np.clip(1.1 - np.abs((k % 24 - 12) / 8), 0, 1))
    return np.asarray(x * (1 - white) + 255 * white)


LIGHT: Final[dict[str, Callable[[Frames], Frames]]] = {
    "fade out and in": _light(lambda x, k: x * _by_frame(np.clip(np.abs((k % 24 - 12) / 10), 0, 1))),
    "fade through white": _light(_through_white),
    "camera flashes": _light(lambda x, k: np.where(_by_frame(k % 5 == 3), x * 1.8 + 70, x)),
    "coloured stage light": _light(lambda x, k: x * _LAMPS[k // 2 % len(_LAMPS)][:, None, None, :]),
    "coloured haze": _light(lambda x, k: (x * 0.8 + 25) * _LAMPS[k // 2 % len(_LAMPS)][:, None, None, :]),
    "dimming": _light(lambda x, k: x * _by_frame(np.where(k // 4 % 2, 0.2, 1.0))),
    "light from the side": _light(_side),
    "exposure": _light(lambda x, k: 255 * (x / 255) ** _by_frame(np.where(k // 4 % 2, 0.5, 1.8))),
}


def _camera(place: Callable[[float], tuple[float, float, float]]) -> Callable[[Frames], Frames]:
    """Move over a clip: place gives x, y (of what is free) and zoom by the time in 0..1."""

    def move(frames: Frames) -> Frames:
        height, width = frames.shape[1:3]
        moved = []
        for index, frame in enumerate(frames):
            x, y, zoom = place(index / len(frames))
            left, top = x * width * (zoom - 1), y * height * (zoom - 1)
            matrix = np.array([[zoom, 0, -left], [0, zoom, -top]])
            moved.append(np.asarray(cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)))
        return np.stack(moved).astype(np.uint8)

    return move


CAMERA: Final[dict[str, Callable[[Frames], Frames]]] = {
    "pan": _camera(lambda t: (0.5 + 0.5 * np.sin(12 * t), 0.3, 2.0)),
    "fast pan": _camera(lambda t: (0.5 + 0.5 * np.sin(40 * t), 0.3, 2.5)),
    "zoom": _camera(lambda t: (0.5, 0.4, 1.6 + 0.6 * np.sin(15 * t))),
    "shake": _camera(lambda t: (0.5 + 0.2 * np.sin(90 * t), 0.5 + 0.2 * np.sin(131 * t), 1.5)),
}


if __name__ == "__main__":
    typer.run(main)
