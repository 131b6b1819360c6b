"""Key frames alone: which are chosen, that nothing else is decoded, and what becomes of hard files."""

from __future__ import annotations

import io
from struct import pack, unpack

import media
import numpy as np
import pytest
import torch
from PIL import Image

from vidguard.config import Limits
from vidguard.errors import InputError, LimitError, SourceError
from vidguard.video import open_source
from vidguard.video.keyframes import KeyFrameReader, open_key_frames

TEN_GROUPS = {"g": "10", "sc_threshold": "0"}
MP4_FIRST = {"movflags": "+faststart"}


def read(source, max_frames=4, **options):
    with open_key_frames(source, max_frames=max_frames, **options) as reader:
        frames = {batch.pts_seconds[0]: batch.frames for batch in reader.batches()}
        return frames, reader


@pytest.fixture(scope="module")
def ten_groups() -> bytes:
    """Ten seconds, a key frame at each."""
    return media.encode(media.frames(100), options=TEN_GROUPS, container_options=MP4_FIRST)


def test_key_frames_are_spread_and_equal_those_of_a_full_pass(ten_groups):
    frames, reader = read(ten_groups)
    assert list(frames) == pytest.approx([0.0, 2.0, 5.0, 7.0])
    assert not reader.damaged
    with open_source(ten_groups) as whole:
        expected = {b.pts_seconds[0]: b.frames for b in whole.batches(batch_size=1) if b.pts_seconds[0] in frames}
    assert list(expected) == list(frames)
    assert all(torch.equal(expected[time], frames[time]) for time in frames)


@pytest.mark.parametrize(("max_frames", "decoded"), [(1, 1), (3, 3), (50, 10)])
def test_nothing_but_the_chosen_key_frames_is_decoded(ten_groups, monkeypatch, max_frames, decoded):
    given = []
    original = KeyFrameReader._decode

    def counting(self, packet):
        given.append(packet.is_keyframe)
        return original(self, packet)

    monkeypatch.setattr(KeyFrameReader, "_decode", counting)
    frames, reader = read(ten_groups, max_frames)
    assert given == [True] * decoded
    assert (len(frames), reader.num_frames_decoded) == (decoded, decoded)


def test_a_file_that_calls_other_frames_key_frames_is_damaged(ten_groups):
    # the sync sample table, rewritten to name the frames after the key frames
    at = ten_groups.index(b"stss") + 12
    entries = unpack(">10I", ten_groups[at : at + 40])
    assert entries[:2] == (1, 11)
    lying = ten_groups[:at] + pack(">10I", *(entry + 1 for entry in entries)) + ten_groups[at + 40 :]
    frames, reader = read(lying)
    assert all(time == round(time) for time in frames)  # whatever is shown is a real one
    assert reader.damaged


def test_one_key_frame_in_a_long_video_gives_one_frame():
    frames, reader = read(media.encode(media.frames(100), options={"g": "1000", "sc_threshold": "0"}))
    assert list(frames) == [0.0]
    assert reader.num_frames_decoded == 1
    assert not reader.damaged


class Pipe(io.RawIOBase):
    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer) -> int:
        return self._data.readinto(buffer)


def test_without_an_index_every_packet_is_read_and_key_frames_are_spread_all_the_same(ten_groups):
    live = media.encode(media.frames(100), container="matroska", options=TEN_GROUPS, container_options={"live": "1"})
    for source in (live, Pipe(ten_groups)):
        frames, reader = read(source)
        assert list(frames) == pytest.approx([0.0, 2.0, 5.0, 7.0]), source
        assert not reader.damaged
        assert reader.num_frames_decoded == 4
    stream = media.encode(media.frames(300), container="mpegts", options={"g": "10", "bf": "0", "sc_threshold": "0"})
    frames, reader = read(stream)
    # of thirty key frames every other is kept on the way, so that memory has a bound; four are then spread over those
    assert np.diff(list(frames)) == pytest.approx([6, 8, 8])
    assert not reader.damaged


def test_files_that_end_early_are_damaged(ten_groups):
    frames, reader = read(ten_groups[: len(ten_groups) * 3 // 4])
    assert frames
    assert reader.damaged
    # with the last group alone missing, every chosen key frame is there; only the end tells
    frames, reader = read(ten_groups[: len(ten_groups) * 95 // 100], max_frames=2)
    assert len(frames) == 2
    assert any("ends at" in note for note in reader.notes)


def test_a_video_that_goes_on_after_its_headers_end_is_damaged(ten_groups):
    at = ten_groups.index(b"mdhd") + 4 + 16
    (duration,) = unpack(">I", ten_groups[at : at + 4])
    shortened = ten_groups[:at] + pack(">I", duration // 4) + ten_groups[at + 4 :]
    _, reader = read(shortened)
    assert reader.damaged


def test_hostile_and_empty_sources_raise_as_everywhere(ten_groups):
    with pytest.raises(SourceError, match="is empty"):
        read(b"")
    with pytest.raises(SourceError, match="not a video or image"):
        read(b"This is no video.\n" * 100)
    with pytest.raises(LimitError, match="max_pixels"):
        read(ten_groups, limits=Limits(max_pixels=96 * 64 - 1))
    with pytest.raises(LimitError, match="max_seconds"):
        read(ten_groups, limits=Limits(max_seconds=5))
    with pytest.raises(InputError, match="at least 1"):
        read(ten_groups, max_frames=0)


def test_large_pictures_are_reduced_and_info_keeps_their_size():
    wide = media.encode(media.frames(2, 2400, 64))
    frames, reader = read(wide)
    assert {tuple(f.shape) for f in frames.values()} == {(1, 3, 51, 1920)}
    assert (reader.info.width, reader.info.height) == (2400, 64)


def test_a_still_is_read_whole():
    file = io.BytesIO()
    Image.fromarray(media.pattern(0)).save(file, "PNG")
    frames, reader = read(file.getvalue())
    assert reader.info.kind == "image"
    assert np.array_equal(frames[0.0][0].permute(1, 2, 0).numpy(), media.pattern(0))
