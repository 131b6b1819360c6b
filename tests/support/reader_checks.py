"""What must hold for any reader on any hard file; the conformance suite and the published table both run it."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from media import BLUE, GREEN, RED, HardFile

from vidguard.errors import BackendError, SourceError
from vidguard.video import VideoReader, open_source

# What decord says it can't show right. Anything it does open must be right.
DECORD_REFUSES = {
    "APNG with EXIF",
    "mirrored",
    "missing times (AVI with B-frames)",
    "MPEG-4 with B-frames in AVI",
    "no container (raw H.264)",
    "non-square pixels",
    "HDR (PQ)",
    "interlaced",
    "several video streams",
    "size changes on the way",
    "MPEG-TS",
    "MP4 cut in half",
    "MPEG-TS cut in half",
    "noise in an MPEG-TS",
    "no frame decodes",
}

# 8-bit 4:2:0 H.264, which every NVDEC decodes: a refusal there is a bug. Other files depend on the GPU's generation and
# its smallest sizes.
NVDEC_MUST_READ = {
    "constant frame rate",
    "variable frame rate",
    "rotated 90",
    "rotated 180",
    "rotated 270",
    "mirrored",
    "start time 3 s",
    "full range",
    "BT.709",
    "fragmented MP4",
    "MPEG-TS",
}


def check(hard: HardFile, backend: str, device: str = "cpu") -> str:
    """Read the file and assert what its entry promises; returns one word for the table."""
    data = hard.make()
    if hard.error is not None:
        return _check_error(hard.error, data, backend, device)
    try:
        reader = open_source(data, backend=backend, device=device)
    except BackendError:
        may_refuse = {
            "pyav": False,
            "decord": hard.name in DECORD_REFUSES,
            "pyav-nvdec": torch.cuda.is_available() and hard.name not in NVDEC_MUST_READ,
        }
        if not may_refuse[backend]:
            raise
        return "refused"
    assert backend != "decord" or hard.name not in DECORD_REFUSES, "decord is said to refuse this file"
    with reader:
        assert reader.backend == backend
        _check_frames(hard, reader)
    return "damage reported" if reader.damaged else "right"


def _check_error(pattern: str, data: bytes, backend: str, device: str) -> str:
    with pytest.raises(SourceError, match=pattern):
        open_source(data, backend=backend, device=device).close()
    return "error that teaches"


def _check_frames(hard: HardFile, reader: VideoReader) -> None:
    frames, times = [], []
    for batch in reader.batches(batch_size=7):
        assert len(batch) <= 7
        frames += list(batch.frames.cpu())
        times += batch.pts_seconds
    assert reader.num_frames_decoded == len(times)
    assert reader.damaged == hard.damaged, reader.notes
    if reader.backend != "decord":
        for note in hard.notes:
            assert any(note in given for given in reader.notes), reader.notes
    assert all(later > earlier for earlier, later in pairwise(times))
    info = reader.info
    sizes = {(size.width, size.height) for size in info.sizes} or {(info.width, info.height)}
    assert {(frame.shape[2], frame.shape[1]) for frame in frames} <= sizes
    if hard.damaged:
        return
    assert (info.width, info.height) == hard.size
    assert info.rotation_degrees == hard.rotation
    assert len(times) == len(hard.times)
    for time, expected in zip(times, hard.times):
        assert math.isclose(time, expected, abs_tol=hard.time_tolerance), (times, hard.times)
    assert math.isclose(info.start_seconds, hard.times[0], abs_tol=hard.time_tolerance)
    for frame, grey in zip(frames, hard.levels):
        _check_picture(frame.float(), grey if hard.exact_colors else None, hard.tolerance)


def _check_picture(frame: torch.Tensor, grey: int | None, tolerance: float) -> None:
    """Assert the quadrants of the upright pattern; without a grey level, only which channel wins where."""
    height, width = frame.shape[1:]
    top, bottom = slice(4, height // 2 - 4), slice(height // 2 + 4, height - 4)
    left, right = slice(4, width // 2 - 4), slice(width // 2 + 4, width - 4)
    quadrants = {RED: (top, left), GREEN: (top, right), BLUE: (bottom, left), (grey,) * 3: (bottom, right)}
    for color, (rows, columns) in quadrants.items():
        seen = frame[:, rows, columns]
        if color[0] is None:
            assert (seen.mean((1, 2)) - seen.mean()).abs().max() < 6, "the grey quadrant is tinted"
        elif grey is None:
            assert seen.mean((1, 2)).argmax() == max(range(3), key=color.__getitem__)
        else:
            difference = (seen - torch.tensor(color)[:, None, None]).abs()
            assert difference.mean() < tolerance / 3, (color, seen.mean((1, 2)).tolist())
            assert difference.max() < tolerance * 2, (color, difference.max())
