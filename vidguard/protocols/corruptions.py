"""What happens to footage on its way to a viewer, in stated strengths (after Hendrycks & Dietterich, ICLR 2019)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vidguard import forge
from vidguard.config import FaceConfig
from vidguard.errors import SourceError
from vidguard.faces import FaceDetector
from vidguard.video import TimedImage, open_source, write_video

Image = NDArray[np.uint8]
Write = Callable[[Path, Path, float], None]
"""(source, target, level): write the corrupted video."""


@dataclass(frozen=True)
class Corruption:
    """One way to corrupt a video; levels from mild to strong."""

    name: str
    unit: str
    levels: tuple[float, ...]
    write: Write


_VISUALLY_LOSSLESS: Final = 12  # H.264's crf at which encoding adds far less than what was done to the frames


def timed_images(source: Path) -> Iterator[TimedImage]:
    """Every frame of a video or still, one after the other."""
    with open_source(source) as reader:
        for batch in reader.batches():
            yield from zip(batch.frames.permute(0, 2, 3, 1).cpu().numpy(), batch.pts_seconds)


def _rewrite(source: Path, target: Path, change: Callable[[Image], Image], *, crf: int = _VISUALLY_LOSSLESS) -> None:
    write_video(target, ((change(image), seconds) for image, seconds in timed_images(source)), crf=crf)


def _compress(source: Path, target: Path, crf: float) -> None:
    _rewrite(source, target, lambda image: image, crf=int(crf))


def _jpeg(source: Path, target: Path, quality: float) -> None:
    _rewrite(source, target, lambda image: forge.jpeg(image, int(quality)))


def _resize(source: Path, target: Path, factor: float) -> None:
    def reduce(image: Image) -> Image:
        size = (max(round(image.shape[1] * factor), 2), max(round(image.shape[0] * factor), 2))
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)

    _rewrite(source, target, reduce)


def _face_size(source: Path, target: Path, side: float) -> None:
    """Reduce the video so that its largest face is `side` px wide; a video without a face, or a smaller one, stays."""
    found = (
        faces for timed in islice(timed_images(source), 0, None, 10) for faces in _detector().detect(_tensor(timed))
    )
    first = next((faces.boxes_xyxy_px[0] for faces in found if len(faces.probs)), None)
    factor = 1.0 if first is None else side / float(first[2] - first[0])
    _resize(source, target, min(factor, 1.0))


def _tensor(timed: TimedImage) -> torch.Tensor:
    return torch.from_numpy(timed[0]).permute(2, 0, 1)[None]


@cache
def _detector() -> FaceDetector:
    return FaceDetector(FaceConfig())


def _blur(source: Path, target: Path, sigma: float) -> None:
    _rewrite(source, target, lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8))


def _noise(source: Path, target: Path, sigma: float) -> None:
    rng = np.random.default_rng(0)
    _rewrite(source, target, lambda image: forge.noise(image, sigma, rng))


def _brightness(source: Path, target: Path, gain: float) -> None:
    _rewrite(source, target, lambda image: forge.light(image, gain, 0.0, 1.0))


def _drop_frames(source: Path, target: Path, share: float) -> None:
    rng = np.random.default_rng(0)
    images = timed_images(source)
    first = next(images, None)  # a video needs one, and its clock starts there
    if first is None:
        raise SourceError(f"{source} has no frame that decodes")
    kept = (timed for timed in images if rng.random() >= share)
    write_video(target, chain([first], kept), crf=_VISUALLY_LOSSLESS)


def _generations(source: Path, target: Path, count: float) -> None:
    with TemporaryDirectory() as folder:
        for generation in range(int(count)):
            last = generation == int(count) - 1
            step = target if last else Path(folder) / f"{generation}.mp4"
            # sizes alternate as on the way through several platforms, so that blocks don't fall on blocks
            _rewrite(source, step, partial(forge.rescale, factor=0.9 if generation % 2 else 0.8), crf=28)
            source = step


CORRUPTIONS: Final = (
    Corruption("compression", "H.264 crf", (23, 32, 40), _compress),
    Corruption("jpeg", "JPEG quality", (75, 40, 15), _jpeg),
    Corruption("resize", "times its size", (0.75, 0.5, 0.25), _resize),
    Corruption("face-size", "px across the face", (96, 64, 48), _face_size),
    Corruption("blur", "sigma px", (1, 2, 4), _blur),
    Corruption("noise", "sigma of 255 levels", (5, 10, 20), _noise),
    Corruption("brightness", "times as bright", (0.7, 0.5, 0.3), _brightness),
    Corruption("frame-drop", "share of frames lost", (0.25, 0.5, 0.75), _drop_frames),
    Corruption("re-encoding", "generations at crf 28", (2, 4, 6), _generations),
)
