"""Writing video: what is read back is what was written, and a failure leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vidguard.errors import SourceError
from vidguard.video import TimedImage, open_source, write_video


def test_pictures_and_times_come_back(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.35, 0.4]
    levels = [40, 90, 160, 220]
    pictures = [np.full((47, 63, 3), level, np.uint8) for level in levels]
    write_video(tmp_path / "clip.mp4", zip(pictures, times), crf=10, frame_rate=10.0)
    with open_source(tmp_path / "clip.mp4") as reader:
        batches = list(reader.batches())
    frames = np.concatenate([b.frames.numpy() for b in batches])
    assert frames.shape == (4, 3, 48, 64)  # odd sides are made even
    np.testing.assert_allclose([t for b in batches for t in b.pts_seconds], times, atol=1e-4)
    np.testing.assert_allclose(frames.mean((1, 2, 3)), levels, atol=2)


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[TimedImage]:
        yield np.zeros((32, 32, 3), np.uint8), 0.0
        raise RuntimeError("the source broke off")

    with pytest.raises(RuntimeError):
        write_video(tmp_path / "clip.mp4", broken())
    with pytest.raises(SourceError, match="not one frame"):
        write_video(tmp_path / "clip.mp4", [])
    assert list(tmp_path.iterdir()) == []
