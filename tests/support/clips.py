"""Small clips with a real face, from scikit-image's public-domain portrait."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from skimage.data import astronaut

from vidguard.video import TimedImage, write_video

FPS = 10


def face_clip(path: Path, *, seconds: float = 3.0, side: int = 240) -> Path:
    """A steady face of about 100 px that drifts a little."""
    portrait = np.asarray(astronaut())

    def pictures() -> Iterator[TimedImage]:
        for k in range(round(seconds * FPS)):
            x, y = 110 + round(6 * np.sin(k / 5)), round(4 + 4 * np.cos(k / 7))
            yield np.ascontiguousarray(portrait[y : y + side, x : x + side]), k / FPS

    write_video(path, pictures(), crf=14, frame_rate=FPS)
    return path


def empty_clip(path: Path) -> Path:
    """Grey, without a face."""
    write_video(path, ((np.full((120, 160, 3), 90, np.uint8), k / FPS) for k in range(25)), frame_rate=FPS)
    return path
