"""Conversion to RGB leaves no byte of its output as it found it, whatever the size and the pixel format."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from av.video.frame import VideoFrame
from conversions import frame_of_noise
from media import encode, save

from vidguard.video import open_source
from vidguard.video.color import ColorSpec, Matrix
from vidguard.video.orientation import Orientation
from vidguard.video.picture import Picture
from vidguard.video.pyav_software import SoftwareCanvas

POISONS = (0x00, 0x5A, 0xFF)
LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


def converted(frame: VideoFrame, width: int, height: int, color: ColorSpec, poison: int) -> np.ndarray:
    picture = Picture(width, height, False, color, Orientation(), ())
    canvas = SoftwareCanvas(picture, torch.device("cpu"))
    out = torch.full((3, height, width), poison, dtype=torch.uint8)
    canvas.write(frame, out)
    return out.numpy().copy()


def by_arithmetic(frame: VideoFrame, color: ColorSpec) -> np.ndarray:
    """(3, H, W) float RGB, 0 to 255, of planar 8-bit YUV with chroma replicated: ITU-R BT.601 and BT.709."""
    planes = []
    for plane in frame.planes[:3]:
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width].astype(np.float64)
        down, across = -(-frame.height // plane.height), -(-frame.width // plane.width)
        planes.append(np.kron(rows, np.ones((down, across)))[: frame.height, : frame.width])
    kr, kb = LUMA[color.matrix]
    y, cb, cr = planes[0], planes[1] - 128, planes[2] - 128
    if color.full_range:
        y, cb, cr = y / 255, cb / 255, cr / 255
    else:
        y, cb, cr = (y - 16) / 219, cb / 224, cr / 224
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.stack((red, green, blue)), 0, 1) * 255


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuvj420p", "yuva420p", "yuv444p"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_every_width_agrees_with_plain_arithmetic(pixel_format: str, matrix: Matrix) -> None:
    """Of moderate chroma, and its neighbours alike, so that interpolating or replicating it is the same."""
    color = ColorSpec(matrix, full_range=pixel_format.startswith("yuvj"))
    for width in (*range(1, 17), *range(48, 80), 360, 424, 854):
        for height in (32, 33):
            frame = frame_of_noise(width, height, pixel_format, flat_chroma=True)
            expected = by_arithmetic(frame, color)
            for poison in POISONS:
                difference = np.abs(converted(frame, width, height, color, poison) - expected)
                assert difference.max() <= 4, (width, height, np.argwhere(difference > 4)[:4].tolist())


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le", "nv12", "rgb24", "gray"])
def test_scaling_to_every_width_agrees_with_plain_arithmetic(pixel_format: str) -> None:
    """A flat picture stays flat to its last column, whatever it is scaled to."""
    color = ColorSpec("bt601", full_range=False)
    source = frame_of_noise(70, 62, pixel_format)
    for plane in source.planes:
        sample = np.full(plane.buffer_size // 2, 500, "<u2") if pixel_format.endswith("10le") else b"\x78"
        plane.update(bytes(sample) * (plane.buffer_size // len(bytes(sample))))
    expected = converted(source, 70, 62, color, 0)
    for width in (*range(1, 17), *range(64, 97)):
        for height in (62, 63, 64, 32):
            for poison in (0x00, 0xFF):
                difference = converted(source, width, height, color, poison) - expected.mean((1, 2), keepdims=True)
                assert np.abs(difference).max() <= 3, (width, height)


def _another_process(perturb: int) -> subprocess.Popen[str]:
    """Prints the digests, where every block that glibc's malloc gives out is filled with a byte of our choice."""
    settings = {"MALLOC_PERTURB_": str(perturb), "MALLOC_MMAP_THRESHOLD_": str(1 << 30), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("conversions.py"))],
        env={**os.environ, **settings, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_whose_memory_holds_other_bytes_agree_to_the_last_bit() -> None:
    """Every pixel format that decoders give, every width mod 16, native and scaled, SDR, HDR, and what is encoded."""
    printed = [process.communicate()[0].splitlines() for process in [_another_process(85), _another_process(170)]]
    assert len(printed[0]) > 1000
    assert printed[0] == printed[1], [one for one, other in zip(*printed) if one != other][:10]


@pytest.mark.parametrize("width", [854, 424, 360, 1080, 722])
def test_a_file_read_twice_gives_the_same_bits(width: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    pictures = [rng.integers(0, 255, (64, width, 3), np.uint8) for _ in range(6)]
    path = save(tmp_path, "noise.mp4", encode(pictures))
    read = []
    for _ in range(3):
        with open_source(path) as reader:
            read.append(torch.cat([batch.frames for batch in reader.batches(batch_size=4)]))
    assert torch.equal(read[0], read[1])
    assert torch.equal(read[0], read[2])
