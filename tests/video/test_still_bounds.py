"""A still is read as far as its picture goes: what follows it, however much, is left alone."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vidguard.config import Limits
from vidguard.video import open_source
from vidguard.video.source import Stream

PICTURE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
AFTER = 1 << 28


def encoded(kind: str) -> bytes:
    out = BytesIO()
    Image.fromarray(PICTURE).save(out, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return out.getvalue()


@pytest.fixture
def read_bytes(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How much decoders have asked for."""
    total = 0
    read = Stream.read

    def counted(self: Stream, size: int = -1) -> bytes:
        nonlocal total
        data = read(self, size)
        total += len(data)
        return data

    monkeypatch.setattr(Stream, "read", counted)
    return lambda: total


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "AVIF"])
def test_what_follows_a_picture_is_not_read(tmp_path: Path, kind: str, read_bytes: Callable[[], int]) -> None:
    path = tmp_path / "still"
    with path.open("wb") as file:
        file.write(encoded(kind))
        file.truncate(AFTER)  # sparse: takes no space
    limits = Limits(max_pixels=1 << 20, max_still_pixels=1 << 20)
    with open_source(path, limits=limits) as reader:
        (batch,) = reader.batches()
        assert not reader.damaged
    if kind not in ("JPEG", "AVIF"):
        assert np.array_equal(batch.frames[0].permute(1, 2, 0).numpy(), PICTURE)
    # WebP's and AVIF's decoders take a file as a whole
    assert read_bytes() <= (40 << 20 if kind in ("WEBP", "AVIF") else 2 << 20)


def test_a_pipe_with_a_picture_is_read_to_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(BytesIO):
        """A picture, and zeros for ever."""

        given = 0

        def seekable(self) -> bool:
            return False

        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert size >= 0, "asked for everything"
            data = super().read(size)
            data += bytes(size - len(data))
            self.given += len(data)
            return data

    pipe = Endless(encoded("JPEG"))
    with open_source(pipe, limits=Limits(max_pixels=1 << 16, max_still_pixels=1 << 16)) as reader:
        (batch,) = reader.batches()
    assert batch.frames.shape[2:] == (48, 64)
    assert pipe.given <= 34 << 20


def test_a_picture_that_breaks_off_is_salvaged_as_before() -> None:
    content = encoded("JPEG")
    with open_source(content[: len(content) // 2]) as reader:
        (batch,) = reader.batches()
        assert reader.damaged
    assert not (batch.frames[0, :, :16] == 0).all()
