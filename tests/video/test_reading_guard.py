"""Whatever goes wrong while a source is read ends as an error of vidguard's; what was hashed is what was judged."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import media
import numpy as np
import pytest
import torch
from PIL import Image

from vidguard.errors import InputError, LimitError, SourceError, VidguardError
from vidguard.video import open_source
from vidguard.video.hashed import HashedFile
from vidguard.video.keyframes import KeyFrameReader, open_key_frames
from vidguard.video.pyav_reader import PyAvReader

RAISED = [
    OSError(errno.EIO, "Input/output error"),
    RuntimeError("decoder trouble\nin two lines"),
    ValueError("31 is not a valid Type"),
    IndexError(),
    KeyError("exif"),
    TypeError("an integer is required"),
    ZeroDivisionError("division by zero"),
    EOFError("no more data"),
    AssertionError(),
    Image.DecompressionBombError("too large"),
    av.error.ArgumentError(errno.EINVAL, "Invalid argument", "clip"),
    av.error.InvalidDataError(errno.EINVAL, "Invalid data", "clip"),
]
each_error = pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)


@pytest.fixture(scope="module")
def noise() -> bytes:
    """A clip of several hundred kilobytes, so that it isn't read as a whole when it is opened."""
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (120, 160, 3)).astype(np.uint8) for _ in range(40)]
    data = media.encode(pictures, codec="rawvideo", container="avi")
    assert len(data) > 4 * (1 << 18)
    return data


@pytest.fixture
def clip(tmp_path: Path, noise: bytes) -> Path:
    return media.save(tmp_path, "upload.avi", noise)


def read_all(source: Any, **settings: Any) -> None:
    with open_source(source, **settings) as reader:
        for _ in reader.batches():
            pass


def look(source: Any) -> None:
    with open_key_frames(source, max_frames=4) as reader:
        for _ in reader.batches():
            pass


both = pytest.mark.parametrize("read", [read_all, look])


def raising(error: BaseException) -> Callable[..., Any]:
    def act(*_: object, **__: object) -> Any:
        raise error

    return act


def breaking_off(error: BaseException) -> Callable[..., Iterator[Any]]:
    def act(*_: object, **__: object) -> Iterator[Any]:
        raise error
        yield

    return act


@each_error
@both
def test_what_a_decoder_raises_when_opened_is_a_source_error(monkeypatch, clip, error, read) -> None:
    monkeypatch.setattr("vidguard.video.container.av.open", raising(error))
    with pytest.raises(SourceError, match=r"upload\.avi") as told:
        read(clip)
    assert "\n" not in str(told.value)


@each_error
@pytest.mark.parametrize(("read", "reader"), [(read_all, PyAvReader), (look, KeyFrameReader)])
def test_what_a_decoder_raises_on_the_way_is_a_source_error(monkeypatch, clip, error, read, reader) -> None:
    monkeypatch.setattr(reader, "batches", breaking_off(error))
    with pytest.raises(SourceError, match=r"upload\.avi can't be read") as told:
        read(clip)
    assert told.value.__cause__ is error


@pytest.mark.parametrize("error", [MemoryError(), torch.cuda.OutOfMemoryError("CUDA out of memory")])
@both
def test_too_little_memory_is_a_limit(monkeypatch, clip, error, read) -> None:
    monkeypatch.setattr("vidguard.video.container.av.open", raising(error))
    with pytest.raises(LimitError, match=r"upload\.avi needs more memory"):
        read(clip)


def test_what_the_caller_does_wrong_stays_an_input_error(clip) -> None:
    with open_source(clip) as reader, pytest.raises(InputError):
        reader.batches(batch_size=0)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), LookupError("of the caller's own code")])
def test_what_the_caller_raises_meanwhile_stays_what_it_is(clip, error) -> None:
    def act() -> None:
        with open_source(clip) as reader:
            for _ in reader.batches():
                raise error

    with pytest.raises(type(error)):
        act()


class Failing(io.BytesIO):
    """A disk that goes away after some reads."""

    def __init__(self, data: bytes, reads: int) -> None:
        super().__init__(data)
        self.left = reads

    def read(self, size: int | None = -1) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(size)


@both
@pytest.mark.parametrize("reads", [0, 1, 5, 6, 7, 8, 9])
def test_a_disk_that_fails_is_a_source_error(noise, reads, read) -> None:
    with pytest.raises(SourceError, match=r"<file object>"):
        read(Failing(noise, reads))


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Input/output error"), ValueError("I/O operation on closed file")]
)
@pytest.mark.parametrize("method", ["read", "seek", "seekable"])
@both
def test_a_file_object_that_fails_at_once_is_a_source_error(noise, monkeypatch, error, method, read) -> None:
    class Given(io.BytesIO):
        pass

    monkeypatch.setattr(Given, method, raising(error))
    with pytest.raises(SourceError, match=r"<file object>"):
        read(Given(noise))


@both
def test_a_pipe_that_fails_is_a_source_error(noise, read) -> None:
    class Pipe(Failing):
        def seekable(self) -> bool:
            return False

    for reads in range(4):
        with pytest.raises(SourceError, match=r"<file object>"):
            read(Pipe(noise, reads))


@both
def test_a_pipe_that_gives_more_than_it_was_asked_for_is_a_source_error(noise, read) -> None:
    class Generous(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def read(self, size: int | None = -1) -> bytes:
            return super().read(size if size is None or size < 100 else size + 1)

    with pytest.raises(SourceError, match="more bytes than it was asked for"):
        read(Generous(noise))


@pytest.mark.parametrize("side", [2, 4, 8])
@both
def test_the_smallest_interlaced_pictures_are_read_or_refused(side, read) -> None:
    def tag(stream: Any) -> None:
        stream.codec_context.flags |= 1 << 29 | 1 << 18

    small = [picture[:side, :side] for picture in media.frames(4)]
    data = media.encode(small, container="mpegts", codec="mpeg2video", rate=25, change=tag)
    try:
        read(data)
    except VidguardError as error:
        assert "<bytes>" in str(error)  # noqa: PT017 -- either is right, by the version of FFmpeg


@pytest.mark.parametrize("format_name", ["AVIF", "WEBP", "PNG", "TIFF", "JPEG", "GIF", "BMP"])
@both
def test_a_damaged_picture_of_any_format_ends_well(format_name, read) -> None:
    if format_name not in Image.registered_extensions().values():
        pytest.skip(f"Pillow has no {format_name} here")
    kept = io.BytesIO()
    Image.fromarray(media.noisy_frames(1)[0]).save(kept, format_name)
    whole = kept.getvalue()
    for data in (whole[: len(whole) // 2], media.corrupt_middle(whole), whole[: len(whole) * 9 // 10]):
        try:
            read(data)
        except VidguardError as error:
            assert "<bytes>" in str(error)  # noqa: PT017 -- a picture that can't be shown at all may be refused


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size * 3 // 4)
        file.write(b"another")


def overwrite_unnoticed(path: Path) -> None:
    before = path.stat()
    overwrite(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("change", [overwrite, overwrite_unnoticed, cut])
def test_a_file_that_changes_under_the_reader_is_told(clip, change) -> None:
    with open_source(clip) as reader:
        batches = reader.batches(batch_size=1)
        next(batches)
        change(clip)
        with pytest.raises(SourceError, match=r"upload\.avi changed while it was read"):
            list(batches)


@pytest.mark.parametrize("change", [overwrite, overwrite_unnoticed, cut])
def test_a_file_that_changes_under_a_look_is_told(clip, change) -> None:
    with open_key_frames(clip, max_frames=4) as reader:
        change(clip)
        with pytest.raises(SourceError, match=r"upload\.avi changed while it was read"):
            list(reader.batches())


def test_a_change_before_the_decoder_opens_it_is_told(clip, monkeypatch) -> None:
    opened = av.open

    def late(*arguments: Any, **options: Any) -> Any:
        with clip.open("r+b") as file:
            file.write(b"\0" * 100)
        return opened(*arguments, **options)

    monkeypatch.setattr("vidguard.video.container.av.open", late)
    with pytest.raises(SourceError, match=r"upload\.avi changed while it was read"):
        open_source(clip)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more" * 100_000)


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"another file")
    other.replace(path)


@pytest.mark.parametrize("change", [append, replace, Path.unlink])
def test_what_the_descriptor_holds_is_read_to_its_end(clip, noise, change) -> None:
    with open_source(clip) as reader:
        batches = reader.batches(batch_size=1)
        count = len(next(batches))
        change(clip)
        count += sum(len(batch) for batch in batches)
        assert (count, reader.info.sha256) == (40, hashlib.sha256(noise).hexdigest())


def test_reading_a_hashed_file_is_reading_the_file(noise) -> None:
    plain, hashed = io.BytesIO(noise), HashedFile(io.BytesIO(noise), len(noise), "clip")
    assert hashed.sha256 == hashlib.sha256(noise).hexdigest()
    rng = np.random.default_rng(0)
    for _ in range(50):
        place, size = int(rng.integers(0, len(noise) + 100)), int(rng.choice([0, 1, 1000, 300_000, -1]))
        assert hashed.seek(place) == plain.seek(place)
        assert hashed.read(size) == plain.read(size)
        assert hashed.tell() == plain.tell() if place <= len(noise) else True
    assert hashed.seek(-5, io.SEEK_END) == len(noise) - 5
    assert hashed.seek(-1) == -errno.EINVAL
    assert hashed.read() == noise[-5:], "a seek that fails moves nothing"


@pytest.mark.parametrize("name", ["concat:a|b.mp4", "file:clip.mp4", "tcp:127.0.0.1:9", "clip.m3u8", "%03d.png"])
@pytest.mark.parametrize("backend", ["pyav", "decord"])
def test_no_name_is_an_address_to_a_decoder(tmp_path, monkeypatch, name, backend) -> None:
    if backend == "decord":
        pytest.importorskip("decord")
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(media.encode(media.frames(3)))
    with open_source(Path(name), backend=backend) as reader:
        assert sum(len(batch) for batch in reader.batches()) == 3
