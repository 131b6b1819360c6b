"""Files of several pictures: all are read, or the answer says how many were not."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import media
import numpy as np
import pytest
import torch
from PIL import Image

from vidguard.config import Limits
from vidguard.errors import SourceError
from vidguard.video import open_source, pillow_reader
from vidguard.video.keyframes import open_key_frames

PICTURES = [Image.fromarray(picture) for picture in media.frames(5)]


def saved(kind: str, pictures: list[Image.Image] = PICTURES, **settings: object) -> bytes:
    file = io.BytesIO()
    pictures[0].copy().save(file, kind, save_all=True, append_images=[p.copy() for p in pictures[1:]], **settings)
    return file.getvalue()


def jpeg(picture: Image.Image = PICTURES[0]) -> bytes:
    file = io.BytesIO()
    picture.copy().save(file, "JPEG", quality=95)
    return file.getvalue()


def greys(frames: torch.Tensor) -> list[float]:
    return frames[:, :, 40:60, 60:90].float().mean((1, 2, 3)).tolist()


LEVELS = [media.level(k) for k in range(5)]


@pytest.mark.parametrize(
    ("kind", "settings", "times"),
    [
        ("WEBP", {"duration": [100, 200, 300, 400, 500], "quality": 90}, [0, 0.1, 0.3, 0.6, 1.0]),
        ("WEBP", {"duration": 5}, [0, 0.1, 0.2, 0.3, 0.4]),
        ("AVIF", {"duration": 200, "quality": 90}, [0, 0.2, 0.4, 0.6, 0.8]),
        ("PNG", {"duration": 100}, [0, 0.1, 0.2, 0.3, 0.4]),
        ("PNG", {"duration": 100, "default_image": True}, [0, 1.0, 1.1, 1.2, 1.3]),
        ("GIF", {"duration": 100}, [0, 0.1, 0.2, 0.3, 0.4]),
        ("TIFF", {}, [0, 1, 2, 3, 4]),
    ],
)
def test_several_pictures_are_a_video_with_its_own_times(kind: str, settings: dict, times: list[float]) -> None:
    data = saved(kind, **settings)
    with open_source(data) as reader:
        batches = list(reader.batches(batch_size=2))
        assert (reader.info.kind, reader.num_frames_decoded, reader.damaged) == ("video", 5, False), reader.notes
    assert [t for batch in batches for t in batch.pts_seconds] == pytest.approx(times, abs=1e-3)
    assert greys(torch.cat([batch.frames for batch in batches])) == pytest.approx(LEVELS, abs=6)


def test_pages_of_heif_are_read_and_of_other_sizes_too() -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    pages = [Image.fromarray(media.pattern(0)), Image.fromarray(media.pattern(1, 192, 128))]
    for kind in ("HEIF", "TIFF"):
        with open_source(saved(kind, pages)) as reader:
            shapes = [tuple(batch.frames.shape) for batch in reader.batches()]
        assert shapes == [(1, 3, 64, 96), (1, 3, 128, 192)], kind


def test_raw_mjpeg_is_a_video_but_one_jpeg_is_not() -> None:
    data = b"".join(jpeg(picture) for picture in PICTURES)
    with open_source(data) as reader:
        (batch,) = reader.batches()
        assert (reader.info.kind, reader.info.container) == ("video", "mjpeg")
    assert greys(batch.frames) == pytest.approx(LEVELS, abs=6)
    for padded in (jpeg(), jpeg() + bytes(100), jpeg() + b"a note of the camera's own"):
        with open_source(padded) as reader:
            assert (reader.info.kind, reader.damaged) == ("image", False)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (saved("MPO", PICTURES[:3]), "2 further picture"),
        (jpeg() + media.encode(media.frames(5)), "comes with a video"),
    ],
    ids=["MPO", "motion photo"],
)
def test_what_is_not_looked_at_is_said(data: bytes, said: str) -> None:
    with open_source(data) as reader:
        assert (reader.info.kind, reader.damaged) == ("image", True)
        assert any(said in trouble for trouble in reader.troubles)


def test_a_map_of_depth_beside_a_photo_is_no_picture_of_its_own() -> None:
    with open_source(saved("MPO", [PICTURES[0], PICTURES[1].convert("L")])) as reader:
        assert not reader.damaged


def test_triage_looks_at_a_few_and_counts_the_rest() -> None:
    with open_key_frames(saved("WEBP", duration=100), max_frames=3) as reader:
        assert [len(batch) for batch in reader.batches(batch_size=1)] == [1, 1, 1]
        assert reader.troubles == ("2 further picture(s) of the file were not looked at",)


def test_pictures_beyond_a_limit_are_left_out_with_a_word() -> None:
    with open_source(saved("TIFF"), limits=Limits(max_seconds=2.5)) as reader:
        assert sum(len(batch) for batch in reader.batches()) == 3
        assert any("max_seconds" in trouble for trouble in reader.troubles)
    large = [PICTURES[0], Image.fromarray(media.pattern(1, 192, 128))]
    with open_source(saved("TIFF", large), limits=Limits(max_still_pixels=96 * 64)) as reader:
        assert sum(len(batch) for batch in reader.batches()) == 1
        assert any("max_still_pixels" in trouble for trouble in reader.troubles)


def test_a_file_that_breaks_off_between_pictures_is_damaged() -> None:
    noisy = [Image.fromarray(picture) for picture in media.noisy_frames(4)]
    data = saved("TIFF", noisy)
    with open_source(data[: len(data) * 6 // 10]) as reader:
        assert list(reader.batches())
        assert reader.damaged


class Pipe(io.RawIOBase):
    """Bytes that come once, a few at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer) -> int:
        return self._data.readinto(memoryview(buffer)[:1000])


def test_pictures_from_a_pipe_are_read_whole() -> None:
    for data, count in ((jpeg(), 1), (saved("GIF", duration=100), 5), (saved("WEBP", duration=100), 5)):
        with open_source(Pipe(data)) as reader:
            assert sum(len(batch) for batch in reader.batches()) == count
            assert not reader.damaged


def test_frames_at_picks_from_several_pictures(tmp_path: Path) -> None:
    with open_source(media.save(tmp_path, "a.webp", saved("WEBP", duration=100, quality=90))) as reader:
        batch = reader.frames_at([0.0, 0.25, 9.0])
    assert batch.pts_seconds == pytest.approx([0, 0.2, 0.4])
    assert np.allclose(greys(batch.frames), [LEVELS[0], LEVELS[2], LEVELS[4]], atol=6)


_IN_A_ROW = ("GIF", "PNG", "MJPEG")


def in_a_row(kind: str) -> bytes:
    if kind == "MJPEG":
        return jpeg() * 6
    return saved(kind, duration=100)


@pytest.mark.parametrize("opener", [open_source, partial(open_key_frames, max_frames=8)], ids=["all", "key frames"])
@pytest.mark.parametrize("kind", _IN_A_ROW)
def test_pictures_in_a_row_that_break_off_are_damaged_wherever_they_do(kind: str, opener: Callable[..., Any]) -> None:
    data = in_a_row(kind)
    for cut in (len(data) * 3 // 10, len(data) * 45 // 100, len(data) * 7 // 10, len(data) - 2):
        with opener(data[:cut]) as reader:
            list(reader.batches())
            assert reader.damaged, cut
            if cut > len(data) // 2:  # of a picture and a half another trouble tells as well
                assert any("breaks off before the end" in trouble for trouble in reader.troubles), cut


@pytest.mark.parametrize("count", [1, 3])
def test_gif_and_png_that_break_off_between_pictures_are_damaged(count: int) -> None:
    for kind, before in (("GIF", b"\x21\xf9\x04"), ("PNG", b"fcTL")):
        data, at = in_a_row(kind), -1
        for _ in range(count + 1):
            at = data.index(before, at + 1)
        with open_source(data[: at - (4 if kind == "PNG" else 0)]) as reader:
            list(reader.batches())
            assert (reader.num_frames_decoded, reader.damaged) == (count, True), (kind, reader.notes)


@pytest.mark.parametrize("kind", _IN_A_ROW)
@pytest.mark.parametrize("behind", [b"", b"\0" * 700, b"\r\n"])
def test_whole_pictures_in_a_row_are_not_damaged_by_padding(kind: str, behind: bytes) -> None:
    with open_source(in_a_row(kind) + behind) as reader:
        list(reader.batches())
        assert reader.troubles == ()


def test_what_follows_the_end_of_a_gif_does_not_matter_and_a_cut_one_from_a_pipe_is_noticed() -> None:
    data = in_a_row("GIF")
    with open_source(data + b"a comment that someone appended") as reader:
        list(reader.batches())
        assert reader.troubles == ()
    with open_source(Pipe(data[: len(data) // 2])) as reader:
        list(reader.batches())
        assert reader.damaged


@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
def test_webp_and_avif_that_break_off_are_refused_as_their_decoders_do(kind: str) -> None:
    data = saved(kind, duration=100)
    with pytest.raises(SourceError) as refused:
        open_source(data[: len(data) // 2])
    assert "HEIC" not in str(refused.value)


def test_what_lacks_support_of_heic_says_so_and_avif_never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow_reader, "_registered_formats", lambda: ("JPEG", "AVIF"))
    for brand, hinted in ((b"heic", True), (b"avif", False)):
        with pytest.raises(SourceError) as refused:
            open_source(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1" + brand + bytes(64), backend="pillow")
        assert ("vidguard[heif]" in str(refused.value)) == hinted
