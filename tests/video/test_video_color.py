"""YUV to RGB against plain arithmetic and swscale; tone mapping; orientation."""

from __future__ import annotations

from pathlib import Path
from struct import pack

import av
import numpy as np
import pytest
import torch
from av.video.frame import VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from vidguard.video import open_source
from vidguard.video.color import ColorSpec, Matrix, nv12_to_rgb, to_uint8, tone_map_to_sdr
from vidguard.video.orientation import Orientation, from_display_matrix

LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
SWS = {"bt601": 5, "bt709": 1, "bt2020": 9}
each_matrix = pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
each_range = pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])


def reference_rgb(y: int, cb: int, cr: int, matrix: str, full: bool, depth: int) -> np.ndarray:
    """Invert the luma and colour-difference definitions as a linear system, one pixel, in float64."""
    kr, kb = LUMA[matrix]
    kg = 1 - kr - kb
    forward = np.array(
        [
            [kr, kg, kb],
            [-kr / (2 * (1 - kb)), -kg / (2 * (1 - kb)), 0.5],
            [0.5, -kg / (2 * (1 - kr)), -kb / (2 * (1 - kr))],
        ]
    )
    unit = 2 ** (depth - 8)
    if full:
        normal = np.array([y, cb - 128 * unit, cr - 128 * unit]) / (2**depth - 1)
    else:
        normal = np.array(
            [(y - 16 * unit) / (219 * unit), (cb - 128 * unit) / (224 * unit), (cr - 128 * unit) / (224 * unit)]
        )
    return np.clip(np.linalg.solve(forward, normal), 0, 1)


@each_matrix
@each_range
@pytest.mark.parametrize("depth", [8, 10])
def test_nv12_against_plain_arithmetic(matrix: Matrix, full: bool, depth: int) -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 2**depth, (40, 3))
    for y, cb, cr in codes:
        dtype, shift = (np.uint8, 0) if depth == 8 else (np.uint16, 16 - depth)
        luma = torch.from_numpy(np.full((2, 2), y << shift, dtype))
        chroma = torch.from_numpy(np.array([[[cb << shift, cr << shift]]], dtype))
        rgb = nv12_to_rgb(luma, chroma, ColorSpec(matrix, full), bit_depth=depth)
        assert rgb.shape == (3, 2, 2)
        expected = reference_rgb(int(y), int(cb), int(cr), matrix, full, depth)
        assert np.abs(rgb[:, 0, 0].numpy() - expected).max() < 1e-4


@each_matrix
@each_range
@pytest.mark.parametrize("depth", [8, 10])
def test_nv12_against_swscale(matrix: Matrix, full: bool, depth: int) -> None:
    """On noise in 8 bit; in 10 bit swscale interpolates chroma, so there on noise in luma alone."""
    rng = np.random.default_rng(2)
    dtype, unit = (np.uint8, 1) if depth == 8 else (np.uint16, 4)
    frame = VideoFrame(64, 48, "yuv420p" if depth == 8 else "yuv420p10le")
    frame.colorspace = {"bt601": 5, "bt709": 1, "bt2020": 9}[matrix]  # PyAV before 18 reads BT.2020 off the frame only
    planes = []
    for index, plane in enumerate(frame.planes):
        shape = (plane.height, plane.line_size // np.dtype(dtype).itemsize)
        codes = rng.integers(100, 150, shape) if depth == 8 or index == 0 else np.full(shape, 90 + 40 * index)
        samples = (codes * unit).astype(dtype)
        plane.update(samples.tobytes())
        planes.append(samples[:, : plane.width] << (0 if depth == 8 else 16 - depth))
    luma, chroma = torch.from_numpy(planes[0].copy()), torch.from_numpy(np.stack(planes[1:], -1))
    ours = to_uint8(nv12_to_rgb(luma, chroma, ColorSpec(matrix, full), bit_depth=depth))
    theirs = frame.reformat(
        format="gbrp",
        src_colorspace=SWS[matrix],
        dst_colorspace=SWS[matrix],
        src_color_range=2 if full else 1,
        dst_color_range=2,
    ).to_ndarray()
    difference = np.abs(ours.permute(1, 2, 0).numpy().astype(int) - theirs.astype(int))
    assert difference.max() <= (3 if depth == 8 else 1)  # as measured; swscale's 8-bit tables round at every step


@pytest.mark.parametrize("chroma_size", [(1, 1), (2, 2)])
def test_odd_sizes_take_chroma_rounded_either_way(chroma_size: tuple[int, int]) -> None:
    luma = torch.full((3, 3), 128, dtype=torch.uint8)
    chroma = torch.full((*chroma_size, 2), 128, dtype=torch.uint8)
    assert to_uint8(nv12_to_rgb(luma, chroma, ColorSpec("bt709", True))).unique().tolist() == [128]


def test_sdr_passes_tone_mapping_unchanged() -> None:
    rgb = torch.rand(3, 4, 4)
    assert tone_map_to_sdr(rgb, "sdr") is rgb


def pq_code(nits: float) -> float:
    """The inverse of the curve under test (ITU-R BT.2100, table 4)."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    y = (nits / 10_000) ** m1
    return float(((c1 + c2 * y) / (1 + c3 * y)) ** m2)


def test_pq_greys_land_where_the_note_says() -> None:
    levels = {0.0: 0.0, 203 * 0.18: 0.18 ** (1 / 2.4), 203 * 0.6: 0.6 ** (1 / 2.4), 1000.0: 1.0, 10_000.0: 1.0}
    for nits, expected in levels.items():
        sdr = tone_map_to_sdr(torch.full((3, 1, 1), pq_code(nits)), "pq")
        assert sdr.flatten().tolist() == pytest.approx([expected] * 3, abs=5e-3), nits


def test_tone_mapping_is_monotonic_and_keeps_grey() -> None:
    for transfer in ("pq", "hlg"):
        ramp = torch.linspace(0, 1, 200).expand(3, 1, 200)
        sdr = tone_map_to_sdr(ramp, transfer)  # type: ignore[arg-type]
        assert (sdr[:, 0].diff(dim=-1) >= -1e-4).all()
        assert (sdr - sdr[:1]).abs().max() < 5e-3
        assert 0 <= sdr.min() <= sdr.max() <= 1


def test_hlg_white_is_white() -> None:
    sdr = tone_map_to_sdr(torch.full((3, 1, 1), 0.75), "hlg")  # BT.2408: 75 % HLG is 203 cd/m2
    white = tone_map_to_sdr(torch.full((3, 1, 1), pq_code(203)), "pq")
    assert torch.allclose(sdr, white, atol=0.01)


@given(st.booleans(), st.booleans(), st.booleans())
def test_a_display_matrix_moves_pixels_as_it_says(transpose: bool, flip_x: bool, flip_y: bool) -> None:
    """Move each pixel of a 2x3 picture by the matrix, by hand, and compare."""
    sx, sy = (-1 if flip_x else 1), (-1 if flip_y else 1)
    xx, xy, yx, yy = (0, sy, sx, 0) if transpose else (sx, 0, 0, sy)
    orientation = from_display_matrix(pack("=9i", xx, xy, 0, yx, yy, 0, 0, 0, 1 << 30))
    picture = torch.arange(6).view(2, 3)
    moved = {(xx * x + yx * y, xy * x + yy * y): int(picture[y, x]) for y in range(2) for x in range(3)}
    left, top = min(x for x, _ in moved), min(y for _, y in moved)
    upright = orientation.apply(picture)
    assert tuple(upright.shape[::-1]) == orientation.size(3, 2)
    assert all(upright[y - top, x - left] == value for (x, y), value in moved.items())


def test_an_unreadable_matrix_is_upright() -> None:
    assert from_display_matrix(b"short") == Orientation()


@pytest.mark.parametrize(("height", "matrix"), [(718, "bt601"), (720, "bt709")])
def test_a_stream_that_names_no_matrix_is_read_by_its_height(tmp_path: Path, height: int, matrix: str) -> None:
    codes = (120, 90, 200)
    frame = av.VideoFrame.from_ndarray(
        np.concatenate(
            [
                np.full(64 * height, codes[0], np.uint8),
                np.full(32 * height // 2, codes[1], np.uint8),
                np.full(32 * height // 2, codes[2], np.uint8),
            ]
        ).reshape(-1, 64),
        format="yuv420p",
    )
    with av.open(str(tmp_path / "plain.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, height, "yuv420p"
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with open_source(tmp_path / "plain.mkv") as reader:
        pixels = next(iter(reader.batches())).frames[0]
    expected = reference_rgb(*codes, matrix, False, 8) * 255
    assert pixels.float().mean((1, 2)).numpy() == pytest.approx(expected, abs=1.5)
    other = reference_rgb(*codes, "bt709" if matrix == "bt601" else "bt601", False, 8) * 255
    assert np.abs(other - expected).max() > 5
