"""Headers against what is shown, in both directions: what hides is told, what is valid isn't called damaged."""

from __future__ import annotations

import io
from struct import pack, unpack

import av
import media
import numpy as np
import pytest

from vidguard.config import Limits
from vidguard.errors import BackendError
from vidguard.video import open_source
from vidguard.video.ebml import SEGMENT, declared_end, elements
from vidguard.video.keyframes import open_key_frames
from vidguard.video.source import Source

GROUPS = {"g": "10", "bf": "2", "preset": "medium", "sc_threshold": "0"}


@pytest.fixture(scope="module")
def clip() -> bytes:
    """Ten seconds at ten frames a second, a key frame at each second, with B-frames."""
    return media.encode(media.frames(100), options=GROUPS)


def patched(data: bytes, box: str, offset: int, value: int) -> bytes:
    """Four bytes of a box's content changed."""
    at = data.index(box.encode()) + 4 + offset
    return data[:at] + pack(">I", value) + data[at + 4 :]


def number(data: bytes, box: str, offset: int) -> int:
    at = data.index(box.encode()) + 4 + offset
    return int(unpack(">I", data[at : at + 4])[0])


def seen(data: bytes) -> tuple[bool, tuple[str, ...], bool, tuple[str, ...]]:
    """Damaged and notes, by a full pass and by key frames."""
    with open_source(data) as reader:
        list(reader.batches())
        whole = reader.damaged, tuple(reader.notes)
    with open_key_frames(data, max_frames=8) as keys:
        list(keys.batches())
        return *whole, keys.damaged, tuple(keys.notes)


@pytest.mark.parametrize(
    ("box", "offset", "change"),
    [
        ("mdhd", 12, lambda scale: scale * 100),
        ("stts", 12, lambda delta: max(delta // 100, 1)),
        ("elst", 8, lambda duration: duration // 10),
        ("elst", 12, lambda start: start + 9 * 10240),
        ("mvhd", 12, lambda scale: scale * 100),
        ("stsz", 8, lambda count: count // 10),
    ],
)
def test_four_bytes_that_hide_most_of_a_clip_are_told(clip: bytes, box: str, offset: int, change) -> None:
    changed = patched(clip, box, offset, change(number(clip, box, offset)))
    damaged, notes, keys_damaged, key_notes = seen(changed)
    assert damaged, notes
    assert keys_damaged, key_notes
    if box != "mdhd" and box != "stts":  # there all frames are shown, within a moment
        assert any("of 100 frames were shown" in note for note in notes)


def test_a_time_scale_hides_nothing_in_other_containers_either() -> None:
    mkv = bytearray(media.encode(media.frames(100), container="matroska", options=GROUPS))
    at = mkv.index(b"\x2a\xd7\xb1\x83") + 4
    mkv[at : at + 3] = (10_000).to_bytes(3, "big")
    avi = bytearray(media.encode(media.frames(100), container="avi", codec="mpeg4"))
    at = avi.index(b"strh") + 8 + 24
    avi[at : at + 4] = pack("<I", unpack("<I", avi[at : at + 4])[0] * 100)
    for data in (bytes(mkv), bytes(avi)):
        damaged, notes, keys_damaged, _ = seen(data)
        assert (damaged, keys_damaged) == (True, True), notes


def test_a_trim_by_edit_list_is_whole_and_decord_refuses_it(clip: bytes) -> None:
    trimmed = patched(patched(clip, "elst", 8, 9400), "elst", 12, number(clip, "elst", 12) + 6144)
    with open_source(trimmed) as reader:
        times = [t for batch in reader.batches() for t in batch.pts_seconds]
        assert not reader.damaged, reader.notes
        assert any("hidden by an edit list" in note for note in reader.notes)
    assert times == pytest.approx([k / 10 for k in range(94)], abs=1e-3)
    with open_key_frames(trimmed, max_frames=4) as keys:
        assert len(list(keys.batches())) == 4
        assert not keys.damaged, keys.notes
    pytest.importorskip("decord")
    with pytest.raises(BackendError, match="edit list"):
        open_source(trimmed, backend="decord")


def test_intra_refresh_is_whole_and_decord_refuses_it() -> None:
    data = media.encode(media.frames(40), options={"x264-params": "intra-refresh=1:bframes=0:keyint=10"})
    damaged, notes, keys_damaged, key_notes = seen(data)
    assert (damaged, keys_damaged) == (False, False), (notes, key_notes)
    assert any("intra refresh" in note for note in key_notes)
    pytest.importorskip("decord")
    with pytest.raises(BackendError, match="intra refresh"):
        open_source(data, backend="decord")


@pytest.mark.parametrize(
    ("container", "codec"), [("h264", "libx264"), ("hevc", "libx265"), ("mpeg1video", "mpeg1video")]
)
def test_elementary_streams_are_whole_and_timed_by_their_own_rate(container: str, codec: str) -> None:
    data = media.encode(media.frames(60), container=container, codec=codec, rate=30)
    with open_source(data) as reader:
        times = [t for batch in reader.batches() for t in batch.pts_seconds]
        assert not reader.damaged, reader.notes
        assert reader.info.duration_seconds is None
    assert times == pytest.approx([k / 30 for k in range(60)], abs=1e-3)
    with open_key_frames(data, max_frames=4) as keys:
        shown = [batch.pts_seconds[0] for batch in keys.batches()]
        assert shown
        assert not keys.damaged, keys.notes
    assert all(min(abs(t - time) for time in times) < 0.1 for t in shown)


def with_longer_sound(container: str, codec: str, sound: str) -> bytes:
    """Two seconds of video, five of sound."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as target:
        stream = target.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        audio = target.add_stream(sound, rate=44100, layout="mono", bit_rate=64_000)
        for picture in media.frames(20):
            target.mux(stream.encode(media.to_frame(picture, "yuv420p")))
        for _ in range(220):
            samples = np.zeros((1, 1024), np.float32)
            frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
            frame.sample_rate = 44100
            target.mux(audio.encode(frame))
        for each in (stream, audio):
            target.mux(each.encode(None))
    return out.getvalue()


@pytest.mark.parametrize(
    "make",
    [
        lambda: media.encode(media.frames(8), container="asf", codec="wmv2", rate=1),
        lambda: with_longer_sound("asf", "wmv2", "wmav2"),
        lambda: media.encode(
            media.frames(9),
            container="matroska",
            pts=[0, 40, 80, 3000, 3040, 8000, 8040, 9000, 12100],
            options={"g": "2"},
        ),
        lambda: media.encode(media.frames(4), container="mp4", pts=[0, 2000, 4000, 6000]),
    ],
    ids=["1 fps WMV", "WMV with longer sound", "VFR Matroska", "slideshow MP4"],
)
def test_valid_files_are_not_called_damaged(make) -> None:
    damaged, notes, keys_damaged, key_notes = seen(make())
    assert not damaged, notes
    assert not keys_damaged, key_notes


def test_the_last_frame_of_a_whole_webm_may_last() -> None:
    data = bytearray(media.encode(media.noisy_frames(4), container="webm", codec="libvpx", pts=[0, 300, 600, 900]))
    at = data.index(b"\x44\x89\x88") + 3
    data[at : at + 8] = pack(">d", 8000.0)
    at = data.index(b"00:00:0")
    data[at : at + 8] = b"00:00:08"
    damaged, notes, keys_damaged, _ = seen(bytes(data))
    assert (damaged, keys_damaged) == (False, False), notes
    damaged, _, keys_damaged, notes = seen(bytes(data[: len(data) * 9 // 10]))
    assert (damaged, keys_damaged) == (True, True)
    assert any("bytes that its header promises" in note for note in notes)


@pytest.mark.parametrize("first", [0, 3600])
def test_times_in_notes_are_those_since_the_files_start(first: int) -> None:
    times = [1000 * first + 100 * k for k in range(100)]
    data = media.encode(media.frames(100), container="matroska", pts=times, options={"g": "10", "bf": "0"})
    for changed in seen(data[: len(data) // 2]):
        if isinstance(changed, tuple):
            (note,) = (note for note in changed if "ends at" in note)
            words = note.split()
            assert 3 < float(words[words.index("at") + 1]) < 7, note
            assert float(words[-2]) == pytest.approx(10, abs=0.2), note


def test_a_hostile_or_cut_ebml_head_promises_nothing() -> None:
    for data in (b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3\x80", b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\xff", b"\0" * 40):
        assert declared_end(Source(data, Limits())) is None
    known = b"\x1a\x45\xdf\xa3\x81\0\x18\x53\x80\x67\x88" + bytes(8)
    source = Source(known, Limits())
    assert declared_end(source) == len(known)
    assert list(elements(source, 0, len(known), SEGMENT)) == [(SEGMENT, 11, 19)]
    assert list(elements(source, 6, 9, SEGMENT)) == []
