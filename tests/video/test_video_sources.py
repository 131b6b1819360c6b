"""Sources of every kind, hostile ones, limits, stills, and the rule that chooses a backend."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from contextlib import suppress
from pathlib import Path
from struct import pack

import media
import numpy as np
import pytest
import torch
from PIL import Image, ImageFile
from pydantic import TypeAdapter

from vidguard.config import Limits
from vidguard.errors import BackendError, InputError, LimitError, SourceError
from vidguard.types import SourceInfo
from vidguard.video import BACKENDS, open_source
from vidguard.video.keyframes import open_key_frames


class Pipe(io.RawIOBase):
    """Bytes that come once, a few at a time."""

    def __init__(self, data: bytes) -> None:
        self._left = data

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        size = min(1000, len(self._left) if size < 0 else size)
        taken, self._left = self._left[:size], self._left[size:]
        return taken


@pytest.fixture(scope="module")
def clip() -> bytes:
    return media.encode(media.frames(), container="matroska")


def read(source: object, **settings: object) -> list[tuple[float, torch.Tensor]]:
    with open_source(source, **settings) as reader:  # type: ignore[arg-type]
        return [pair for batch in reader.batches() for pair in zip(batch.pts_seconds, batch.frames)]


def test_path_bytes_file_and_pipe_give_the_same(tmp_path: Path, clip: bytes) -> None:
    path = media.save(tmp_path, "misleading.txt", clip)
    expected = read(clip)
    with path.open("rb") as file:
        file.seek(100)
        for source in (path, str(path), file, io.BytesIO(clip), Pipe(clip)):
            got = read(source)
            assert [t for t, _ in got] == [t for t, _ in expected]
            assert all(torch.equal(a, b) for (_, a), (_, b) in zip(got, expected))
        assert not file.closed


def test_info_names_and_hashes(tmp_path: Path, clip: bytes) -> None:
    digest = hashlib.sha256(clip).hexdigest()
    for source, name, sha in (
        (media.save(tmp_path, "clip.mkv", clip), "clip.mkv", digest),
        (clip, "<bytes>", digest),
        (io.BytesIO(clip), "<file object>", digest),
        (Pipe(clip), "<file object>", None),
    ):
        with open_source(source) as reader:
            info = reader.info
        assert (info.kind, info.name, info.sha256) == ("video", name, sha)
        assert info.size_bytes == (len(clip) if sha else None)
        assert (info.codec, info.pixel_format, info.frame_rate) == ("h264", "yuv420p", 10)
        assert (info.color_matrix, info.color_range, info.color_transfer) == ("bt601", "limited", "sdr")


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_not_utf8_is_told_as_far_as_it_can_be(tmp_path: Path, clip: bytes) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mkv"))
    try:
        path.write_bytes(clip)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with open_source(path) as reader:
        assert reader.info.name == "caf\N{REPLACEMENT CHARACTER}.mkv"
        assert TypeAdapter(SourceInfo).dump_json(reader.info)


def test_batches_are_cut_from_one_stream_whatever_their_size(clip: bytes) -> None:
    whole = read(clip)
    for size in (1, 3, 100):
        with open_source(clip) as reader:
            batches = list(reader.batches(batch_size=size, frames_per_second=4))
            assert reader.num_frames_decoded == 20
        assert all(len(batch) == size for batch in batches[:-1])
        times = [t for batch in batches for t in batch.pts_seconds]
        assert times == pytest.approx([0, 0.3, 0.5, 0.8, 1.0, 1.3, 1.5, 1.8])
        by_time = dict(whole)
        for batch in batches:
            assert all(torch.equal(by_time[t], frame) for t, frame in zip(batch.pts_seconds, batch.frames))


@pytest.mark.parametrize("backend", ["pyav", "decord"])
def test_frames_at_gives_what_is_shown(backend: str) -> None:
    if backend == "decord":
        pytest.importorskip("decord")
    shifted = media.encode(media.frames(), container="matroska", pts=[3000 + 100 * i for i in range(20)])
    with open_source(shifted, backend=backend) as reader:
        batch = reader.frames_at([0.0, 3.05, 3.449, 3.46, 4.901, 99.0])
        assert batch.pts_seconds == pytest.approx([3.0, 3.4, 4.9], abs=1e-3)
        greys = batch.frames[:, :, 56:, 80:].float().mean((1, 2, 3)).tolist()
        assert greys == pytest.approx([media.level(0), media.level(4), media.level(19)], abs=3)
    with open_source(shifted, backend=backend) as reader:
        assert reader.frames_at([]).frames.shape == (0, 3, 64, 96)
    with open_source(shifted, backend=backend) as reader, pytest.raises(InputError, match="decrease"):
        reader.frames_at([2.0, 1.0])


def test_a_source_is_read_once(clip: bytes) -> None:
    with open_source(clip) as reader:
        list(reader.batches())
        with pytest.raises(InputError, match="read once"):
            reader.batches()


def test_stopping_early_is_clean(clip: bytes) -> None:
    before = threading.active_count()
    with open_source(clip) as reader:
        next(reader.batches(batch_size=1))
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.mp4", "no such file"),
        (".", "is a folder"),
        ("https://example.org/talk.mp4", "download it first"),
        ("zero\0byte.mp4", "can't read"),
    ],
)
def test_paths_that_teach(source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=message):
        open_source(source)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="not a regular file"):
        open_source(tmp_path / "pipe")


@pytest.mark.parametrize("source", [io.StringIO("text"), 3, None, ["a.mp4"]])
def test_what_is_no_source_at_all(source: object) -> None:
    with pytest.raises(InputError):
        open_source(source)  # type: ignore[arg-type]


def test_playlists_open_nothing_else(tmp_path: Path, clip: bytes) -> None:
    target = media.save(tmp_path, "secret.ts", media.encode(media.frames(), container="mpegts"))
    playlists = {
        "hls.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{target}\n#EXT-X-ENDLIST\n",
        "list.ffconcat": f"ffconcat version 1.0\nfile '{target}'\n",
        "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    }
    for name, text in playlists.items():
        for backend in (None, "pyav", "decord"):
            with pytest.raises(SourceError, match="not a video"):
                open_source(media.save(tmp_path, name, text.encode()), backend=backend)


def test_limits(clip: bytes, tmp_path: Path) -> None:
    for limits, message in (
        (Limits(max_bytes=100), "max_bytes"),
        (Limits(max_pixels=96 * 64 - 1), "max_pixels"),
        (Limits(max_seconds=1.5), "max_seconds"),
    ):
        with pytest.raises(LimitError, match=message):
            open_source(clip, limits=limits)
    with pytest.raises(LimitError, match="max_streams"):
        open_source(media.two_streams(), limits=Limits(max_streams=1))
    png = io.BytesIO()
    Image.new("RGB", (20, 20)).save(png, "PNG")
    with pytest.raises(LimitError, match="--max-still-pixels"):
        open_source(png.getvalue(), limits=Limits(max_still_pixels=399))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
def test_a_still_beyond_max_pixels_is_read_smaller_and_says_so(kind: str) -> None:
    data = still(Image.fromarray(media.pattern(5, 960, 640)), kind)
    with open_source(data, limits=Limits(max_pixels=200_000)) as reader:
        (batch,) = reader.batches()
        assert batch.frames.shape == (1, 3, 320, 480)
        assert (reader.info.width, reader.info.height) == (480, 320)
        assert any("960x640" in note and "480x320" in note for note in reader.notes)
        assert not reader.damaged
    assert batch.frames[0, :, 50, 50].tolist() == pytest.approx(media.RED, abs=12)


def test_a_photo_of_50_megapixels_is_read_by_default() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with open_source(still(Image.new("RGB", (8160, 6120), (200, 40, 40)), "JPEG", exif=exif)) as reader:
        (batch,) = reader.batches()
        assert batch.frames.shape == (1, 3, 4080, 3060)


def test_a_length_the_header_hides_is_cut() -> None:
    raw = media.raw_h264()
    with open_source(raw, limits=Limits(max_seconds=0.95)) as reader:
        assert sum(len(batch) for batch in reader.batches()) == 10
        assert reader.damaged
        assert any("max_seconds" in note for note in reader.notes)


def test_a_pipe_longer_than_max_bytes_is_cut() -> None:
    stream = media.encode(media.noisy_frames(), container="mpegts")
    with open_source(Pipe(stream), limits=Limits(max_bytes=len(stream) // 2)) as reader:
        count = sum(len(batch) for batch in reader.batches())
        assert 10 < count < 40
        assert reader.damaged
        assert any("max_bytes" in note for note in reader.notes)


def test_a_picture_that_grows_past_the_limit_is_left_out() -> None:
    small = media.encode(media.frames(10), container="h264")
    large = media.encode([media.pattern(i, 192, 128) for i in range(10)], container="h264")
    with open_source(small + large, limits=Limits(max_pixels=96 * 64)) as reader:
        assert sum(len(batch) for batch in reader.batches()) == 10
        assert reader.damaged


def test_random_damage_never_hangs_or_crashes() -> None:
    rng = np.random.default_rng(3)
    for container in ("mp4", "matroska", "mpegts", "avi"):
        whole = media.encode(media.frames(8), container=container)
        for _ in range(15):
            data = bytearray(whole)
            for at in rng.integers(0, len(data), 20):
                data[at] = rng.integers(0, 256)
            with suppress(SourceError):
                read(bytes(data))


def test_decoding_keeps_step_with_the_batches() -> None:
    long = media.encode((media.pattern(i, 320, 240) for i in range(100)), container="mpegts")
    with open_source(long) as reader:
        for done, batch in enumerate(reader.batches(batch_size=4), 1):
            assert reader.num_frames_decoded == 4 * done
            assert batch.frames.untyped_storage().nbytes() == 4 * 3 * 320 * 240


def still(image: Image.Image, kind: str, **settings: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **settings)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_stills(kind: str, tmp_path: Path) -> None:
    data = still(Image.fromarray(media.pattern(5)), kind, **({"quality": 95} if kind in ("JPEG", "WEBP") else {}))
    with open_source(media.save(tmp_path, "picture.mp4", data)) as reader:
        (batch,) = reader.batches(frames_per_second=8)
        assert (reader.backend, reader.info.kind, reader.damaged) == ("pillow", "image", False)
        assert batch.pts_seconds == (0.0,)
        assert batch.frames.shape == (1, 3, 64, 96)
        assert batch.frames[0, :, 10, 10].tolist() == pytest.approx(media.RED, abs=12)
        assert batch.frames[0, :, 10, 80].tolist() == pytest.approx(media.GREEN, abs=12)


def test_heic() -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    data = still(Image.fromarray(media.pattern(5)), "HEIF", quality=95)
    (pair,) = read(data)
    assert pair[1][:, 10, 10].tolist() == pytest.approx(media.RED, abs=15)


@pytest.mark.parametrize(("orientation", "degrees"), [(1, 0), (3, 180), (6, 90), (8, 270)])
def test_exif_orientation(orientation: int, degrees: int) -> None:
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(media.pattern(5), degrees // 90)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    with open_source(still(stored, "JPEG", exif=exif, quality=95)) as reader:
        assert reader.info.rotation_degrees == degrees
        assert (reader.info.width, reader.info.height) == (96, 64)
        (batch,) = reader.batches()
    assert batch.frames[0, :, 10, 10].tolist() == pytest.approx(media.RED, abs=12)
    assert batch.frames[0, :, 50, 10].tolist() == pytest.approx(media.BLUE, abs=12)


def test_transparency_falls_on_black() -> None:
    rgba = np.full((16, 16, 4), 255, np.uint8)
    rgba[:, 8:, 3] = 0
    ((_, frame),) = read(still(Image.fromarray(rgba), "PNG"))
    assert frame[:, 4, 4].tolist() == [255, 255, 255]
    assert frame[:, 4, 12].tolist() == [0, 0, 0]


def test_an_animated_gif_is_a_video() -> None:
    first, *rest = [Image.fromarray(picture) for picture in media.frames(5)]
    data = still(first, "GIF", save_all=True, append_images=rest, duration=100)
    with open_source(data) as reader:
        assert reader.info.kind == "video"
        times = [t for batch in reader.batches() for t in batch.pts_seconds]
    assert times == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("GIF", {}), ("BMP", {}), ("TIFF", {})],
)
def test_of_a_still_that_breaks_off_the_part_that_is_there_is_given(kind: str, settings: dict[str, bool]) -> None:
    data = still(Image.fromarray(media.noisy_frames(1)[0]), kind, **settings)
    ((_, whole),) = read(data)
    with open_source(data[: len(data) * 6 // 10]) as reader:
        (batch,) = reader.batches()
        assert reader.damaged
        assert any("a part of it was decoded" in note for note in reader.notes)
    assert batch.frames[0].shape == whole.shape
    wrong = (batch.frames[0].float() - whole.float()).abs().amax(0)
    if settings:  # the first scans of a progressive JPEG show all of it, coarsely
        assert wrong.mean() < 10
    else:
        assert 0.1 < (wrong <= 2).float().mean() < 0.9
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False  # the caller's Pillow is as strict as before


def test_of_a_still_without_any_picture_data_nothing_is_given() -> None:
    data = still(Image.fromarray(media.noisy_frames(1)[0]), "JPEG")
    with open_source(data[: data.index(b"\xff\xda")]) as reader:  # all headers before the picture's own
        assert list(reader.batches()) == []
        assert reader.damaged
        assert any("can't be decoded" in note for note in reader.notes)
        assert reader.info.width == 96


def test_a_still_can_be_forced_only_on_an_image(clip: bytes) -> None:
    with pytest.raises(SourceError, match="not an image"):
        open_source(clip, backend="pillow")


def test_unknown_backend_and_missing_gpu(clip: bytes) -> None:
    with pytest.raises(InputError, match="choose one of"):
        open_source(clip, backend="ffmpeg")
    if not torch.cuda.is_available():
        with pytest.raises(BackendError, match="cpu"):
            open_source(clip, device="cuda")
        with pytest.raises(BackendError, match="cpu"):
            open_source(clip, backend="pyav-nvdec")
    assert BACKENDS == ("pyav", "pyav-nvdec", "decord", "pillow")


@pytest.mark.cuda
def test_the_gpu_agrees_with_the_cpu() -> None:
    data = media.encode(media.frames(20, 256, 192))
    with open_source(data, device="cuda") as reader:
        assert reader.backend == "pyav-nvdec", reader.notes
        on_gpu = [pair for batch in reader.batches() for pair in zip(batch.pts_seconds, batch.frames.cpu())]
    on_cpu = read(data)
    assert [t for t, _ in on_gpu] == [t for t, _ in on_cpu]
    for (_, ours), (_, reference) in zip(on_gpu, on_cpu):
        assert (ours.int() - reference.int()).abs().float().mean() < 2


@pytest.mark.parametrize(("container", "start"), [("mpegts", 80_001), ("matroska", 3_600), ("mp4", 10)])
def test_the_length_and_the_origin_of_a_file_that_starts_late(container: str, start: int) -> None:
    pts = [1000 * start + 100 * index for index in range(30)]
    with open_source(media.encode(media.frames(30), container=container, pts=pts)) as reader:
        times = [time - reader.info.origin_seconds for batch in reader.batches() for time in batch.pts_seconds]
        assert not reader.damaged, reader.notes
        assert reader.info.duration_seconds == pytest.approx(3.0, abs=0.11)
    assert times == pytest.approx([k / 10 for k in range(30)], abs=2e-3)


@pytest.mark.parametrize(("milliseconds", "shown"), [(10, 0.1), (20, 0.02), (50, 0.05)], ids=lambda value: str(value))
def test_gif_pictures_are_shown_as_long_as_browsers_show_them(milliseconds: int, shown: float) -> None:
    data = io.BytesIO()
    pictures = [Image.fromarray(media.pattern(k)) for k in range(5)]
    pictures[0].save(data, "GIF", save_all=True, append_images=pictures[1:], duration=milliseconds)
    with open_source(data.getvalue(), backend="pyav") as reader:
        times = [time for batch in reader.batches() for time in batch.pts_seconds]
        assert reader.info.frame_rate == pytest.approx(1 / shown)
    assert times == pytest.approx([shown * k for k in range(5)])


def test_a_webm_that_states_no_rate_gets_that_of_its_frames() -> None:
    pts = [33 * k for k in range(30)]
    with open_source(media.encode(media.frames(30), container="webm", codec="libvpx", pts=pts, rate=1000)) as reader:
        assert reader.info.frame_rate is None
        assert sum(len(batch) for batch in reader.batches()) == 30
        assert reader.info.frame_rate == pytest.approx(1000 / 33)


def _with_clap(mp4: bytes, width: int, height: int, across: int, down: int) -> bytes:
    """Add a clean aperture (ISO 14496-12) as the last box of the sample entry; all boxes around it grow."""
    clap = b"\0\0\0\x28clap" + pack(">IIIIiIiI", width, 1, height, 1, across, 1, down, 1)
    data = bytearray(mp4)
    entry = data.index(b"avc1", data.index(b"stsd")) - 4
    end = entry + int.from_bytes(data[entry : entry + 4], "big")
    boxes = [data.index(name) - 4 for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")]
    for at in (*boxes, entry):
        data[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") + len(clap)).to_bytes(4, "big")
    return bytes(data[:end] + clap + data[end:])


def _with_pixel_crop(mkv: bytes, left: int, top: int, right: int, bottom: int) -> bytes:
    """Add crops to the Video element; what it grows by is taken from the Void before, so that clusters stay put."""
    names = ((b"\x54\xcc", left), (b"\x54\xbb", top), (b"\x54\xdd", right), (b"\x54\xaa", bottom))
    crops = b"".join(name + b"\x81" + bytes([value]) for name, value in names)
    data = bytearray(mkv)

    def grow(at: int, by: int) -> int:
        """Change an element's size, which stands at an offset; gives where its content begins."""
        length = 9 - data[at].bit_length()
        data[at : at + length] = (int.from_bytes(data[at : at + length], "big") + by).to_bytes(length, "big")
        return at + length

    tracks = grow(data.index(b"\x16\x54\xae\x6b", 200) + 4, len(crops))
    track = grow(data.index(b"\xae", tracks) + 1, len(crops))
    end = data.index(b"\xe0", track) + 1
    data[grow(end, len(crops)) : grow(end, 0)] = crops
    void = grow(data.index(b"\xec") + 1, -len(crops))
    return bytes(data[:void] + data[void + len(crops) :])


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_what_a_container_crops_is_not_shown(container: str, tmp_path: Path) -> None:
    framed = [np.pad(media.pattern(k), ((4, 12), (16, 8), (0, 0))) for k in range(5)]  # 120x80, black around 96x64
    if container == "mp4":
        data = _with_clap(media.encode(framed), 96, 64, 4, -4)
    else:
        data = _with_pixel_crop(media.encode(framed, container="matroska"), 16, 4, 8, 12)
    path = media.save(tmp_path, "cropped", data)
    with open_source(path) as reader:
        frames = torch.cat([batch.frames for batch in reader.batches()])
        assert (reader.info.width, reader.info.height) == (96, 64)
        assert any("crops the picture to 96x64" in note for note in reader.notes)
    assert frames.shape == (5, 3, 64, 96)
    assert (frames[0, :, 1:3, 1:3].int() - torch.tensor(media.RED)[:, None, None]).abs().max() < 30
    assert (frames[0, :, 61:63, 93:95].int() - media.level(0)).abs().max() < 20
    with open_key_frames(path, max_frames=4) as keys:
        assert torch.equal(next(iter(keys.batches())).frames[0], frames[0])
