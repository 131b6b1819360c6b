"""Speed of the stages and of the whole, beside facenet-pytorch on the same frames in the same run.

    python benchmarks/speed/speed.py CLIP [CLIP ...] --out RESULT.json

Rounds of all measurements are interleaved, so that a busy machine hurts all alike; the median is reported with the
range. Hold ratios against ratios: absolute figures belong to the machine that is named in the result.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import av
import numpy as np
import torch
import typer
from facenet_pytorch import MTCNN
from timing import environment, spread, take_turns, write
from torch import Tensor

import vidguard
from vidguard.config import FaceConfig
from vidguard.encoders import CROP
from vidguard.faces import FaceDetector
from vidguard.scoring.windows import HOP_FRAMES, WINDOW_FRAMES
from vidguard.video import open_source

_DETECTED_FRAMES = 16


def main(
    clips: Annotated[list[Path], typer.Argument(help="Real clips with a face.")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
    rounds: Annotated[int, typer.Option(help="Times that everything is measured.")] = 3,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
) -> None:
    """Measure every clip and write the result."""
    detector = vidguard.load(device=device)
    results = {clip.name: _measure(clip, detector, rounds) for clip in clips}
    result = {
        "what": "frames a second of each stage, and seconds of video analysed a second; median of rounds [least, most]",
        "environment": environment(detector.device, av=av.__version__),
        "rounds": rounds,
        "clips": results,
    }
    write(result, out)


def _measure(clip: Path, detector: vidguard.Detector, rounds: int) -> dict[str, Any]:
    frames = _some_frames(clip)
    images = [f.permute(1, 2, 0).numpy() for f in frames]
    ours, theirs = FaceDetector(FaceConfig(), device=detector.device), MTCNN(keep_all=True, device=detector.device)
    crops = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (32, 3, CROP.size, CROP.size), np.uint8))
    window = _window(detector, crops)
    with open_source(clip) as reader:
        info = reader.info
    total = _decode(clip)
    tasks: dict[str, tuple[Callable[[], object], float]] = {
        "decode, frames/s": (lambda: _decode(clip), total),
        "decode and convert every frame, frames/s": (lambda: _read(clip, detector, None), total),
        "read at 8 frames a second, frames/s": (lambda: _read(clip, detector, 8.0), total),
        "detect, frames/s": (lambda: ours.detect(frames.to(detector.device)), len(frames)),
        "facenet-pytorch detects, frames/s": (lambda: theirs.detect(images), len(frames)),
        "judge crops, faces/s": (lambda: detector.score_crops(crops), len(crops)),
        "judge time, faces/s": (lambda: _judge_window(detector, window), HOP_FRAMES),  # a window moves on by a hop
        "end to end, seconds of video/s": (lambda: detector.analyze(clip), total / (info.frame_rate or 25)),
    }
    on_gpu = detector.device.type == "cuda"
    times = take_turns(
        {name: task for name, (task, _) in tasks.items()},
        rounds,
        settle=(lambda: torch.cuda.synchronize(detector.device)) if on_gpu else (lambda: None),
    )
    rates = {name: [amount / seconds for seconds in times[name].clock] for name, (_, amount) in tasks.items()}
    ours_rate, theirs_rate = (
        statistics.median(rates[name]) for name in ("detect, frames/s", "facenet-pytorch detects, frames/s")
    )
    return {
        "clip": f"{info.codec} {info.width}x{info.height}, {info.frame_rate:.3g} frames/s, {total} frames",
        "rates": {name: spread(values, 2) for name, values in rates.items()},
        "detection, times as fast as facenet-pytorch": round(ours_rate / theirs_rate, 2),
    }


def _window(detector: vidguard.Detector, crops: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor]:
    """One whole window of one face, as the transformer reads it."""
    features = detector.judge.encode(crops)
    again = -(-WINDOW_FRAMES // len(crops))
    embeddings = {n: e.repeat(again, 1)[None, :WINDOW_FRAMES] for n, e in features.embeddings.items()}
    logits = features.fake_logit.repeat(again)[None, :WINDOW_FRAMES]
    times = torch.arange(WINDOW_FRAMES, device=logits.device)[None] / 8.0
    return embeddings, logits, times, torch.ones_like(logits, dtype=torch.bool)


@torch.inference_mode()
def _judge_window(detector: vidguard.Detector, window: tuple[dict[str, Tensor], Tensor, Tensor, Tensor]) -> None:
    detector.judge.temporal(*window)


def _decode(clip: Path) -> int:
    with av.open(str(clip)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return sum(1 for _ in container.decode(video=0))


def _read(clip: Path, detector: vidguard.Detector, rate: float | None) -> int:
    with open_source(clip, device=detector.device) as reader:
        return sum(len(batch) for batch in reader.batches(frames_per_second=rate))


def _some_frames(clip: Path) -> Tensor:
    with open_source(clip) as reader:
        kept = [batch.frames for batch in reader.batches(frames_per_second=4.0)]
    return torch.cat(kept)[:_DETECTED_FRAMES]


if __name__ == "__main__":
    typer.run(main)
