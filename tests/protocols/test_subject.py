"""vidguard as the subject of a benchmark: which frames it is asked about, and what it says of hard items."""

from __future__ import annotations

import gc
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import FPS, empty_clip, face_clip
from PIL import Image
from skimage.data import astronaut

from vidguard.protocols.items import Item
from vidguard.protocols.protocol import DEEPFAKEBENCH, VIDGUARD, Protocol
from vidguard.protocols.subject import VidguardSubject
from vidguard.video import VideoReader, open_source

EIGHT = Protocol("eight", "", "linspace", 8)


@pytest.fixture(scope="module")
def subject() -> VidguardSubject:
    return VidguardSubject(device="cpu")


def item(path: Path) -> Item:
    return Item(path.name, path, False, "m", path.name)


def test_the_chosen_frames_are_spread_over_the_video(subject: VidguardSubject, tmp_path: Path) -> None:
    score = subject.score(item(face_clip(tmp_path / "a.mp4")), EIGHT)
    times = [f.time for f in score.frames]
    expected = np.linspace(0, 29, 8).astype(int) / FPS
    np.testing.assert_allclose(times, expected, atol=1e-3)
    assert score.status == "ok"
    assert score.fake_prob == pytest.approx(np.mean([f.fake_prob for f in score.frames]))


def test_a_header_that_lies_doesnt_choose_the_frames(
    subject: VidguardSubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = face_clip(tmp_path / "a.mp4")
    honest = subject.score(item(path), EIGHT)

    def lying(source: Path, **_: object) -> VideoReader:
        reader = open_source(source)
        monkeypatch.setattr(reader, "info", replace(reader.info, num_frames_header=300))
        return reader

    monkeypatch.setattr("vidguard.protocols.subject.open_source", lying)
    assert [f.time for f in subject.score(item(path), EIGHT).frames] == [f.time for f in honest.frames]


def test_by_the_pipeline_the_score_is_the_reports(subject: VidguardSubject, tmp_path: Path) -> None:
    path = face_clip(tmp_path / "a.mp4")
    score = subject.score(item(path), VIDGUARD)
    report = subject.detector.analyze(path)
    assert score.fake_prob == report.fake_prob
    assert [(s.start, s.end) for s in score.segments] == [(s.start, s.end) for s in report.segments]


def test_no_face_broken_and_missing_are_statuses_without_a_number(subject: VidguardSubject, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    for protocol in (DEEPFAKEBENCH, VIDGUARD):
        nobody = subject.score(item(empty_clip(tmp_path / "nobody.mp4")), protocol)
        assert (nobody.status, nobody.fake_prob) == ("no_face", None)
        for name in ("broken.mp4", "missing.mp4"):
            score = subject.score(item(tmp_path / name), protocol)
            assert (score.status, score.fake_prob) == ("error", None)
            assert score.detail


def test_a_part_that_was_not_seen_is_said_with_the_score(subject: VidguardSubject, tmp_path: Path) -> None:
    whole, cut = tmp_path / "1.jpg", tmp_path / "2.jpg"
    cv2.imwrite(str(whole), cv2.cvtColor(np.asarray(astronaut())[:320, 110:430], cv2.COLOR_RGB2BGR))
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) * 9 // 10])
    for protocol in (EIGHT, VIDGUARD):
        assert subject.score(item(whole), protocol).detail == ""
        damaged = subject.score(item(cut), protocol)
        assert damaged.status == "partial"
        assert "truncated" in damaged.detail
    of_both = subject.score(item(tmp_path), DEEPFAKEBENCH)
    assert of_both.status == "partial"
    assert of_both.detail.startswith("2.jpg: ")


@pytest.mark.skipif(sys.platform != "linux", reason="there is no sandbox elsewhere")
def test_a_sandbox_of_its_own_changes_no_score_and_ends_with_the_subject(
    subject: VidguardSubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    confined = VidguardSubject(device="cpu", sandboxed=True)
    assert "sandbox" not in vars(confined), "it is started by the process that needs it"
    clip = item(face_clip(tmp_path / "a.mp4"))
    (tmp_path / "b.mp4").write_bytes(b"no video at all")
    for protocol in (EIGHT, VIDGUARD):
        assert replace(confined.score(clip, protocol), seconds=0) == replace(subject.score(clip, protocol), seconds=0)
        assert confined.score(item(tmp_path / "b.mp4"), protocol).status == "error"
    assert confined.thumbnail(clip) == subject.thumbnail(clip)
    assert confined.sandbox is not None
    assert "seccomp" in confined.sandbox.note
    server = confined.sandbox._process
    assert server is not None
    del confined
    gc.collect()
    assert server.poll() is not None


def test_a_folder_of_crops_is_a_sequence_for_frames_only(subject: VidguardSubject, tmp_path: Path) -> None:
    folder = tmp_path / "sequence"
    folder.mkdir()
    for k in (2, 10, 1):
        face = cv2.cvtColor(np.asarray(astronaut())[: 200 + k, 110:350], cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / f"{k}.png"), face)
    score = subject.score(item(folder), DEEPFAKEBENCH)
    assert [f.time for f in score.frames] == [0.0, 1.0, 2.0]
    refused = subject.score(item(folder), VIDGUARD)
    assert refused.status == "error"
    assert "deepfakebench" in refused.detail
    assert (subject.thumbnail(item(folder)) or b"").startswith(b"\xff\xd8")


def test_a_protocol_of_frames_judges_the_largest_face(subject: VidguardSubject, tmp_path: Path) -> None:
    face = astronaut()[4:244, 110:350]
    small = np.asarray(Image.fromarray(face).resize((120, 120)))[
        :, ::-1
    ]  # on the left, so that it isn't first by place
    left = np.pad(small, ((60, 60), (60, 60), (0, 0)), mode="edge")
    Image.fromarray(np.concatenate([left, face], axis=1)).save(tmp_path / "two.png")
    by_size = sorted(
        subject.detector.analyze(tmp_path / "two.png").tracks, key=lambda t: t.observations[0].quality.face_px
    )
    assert len(by_size) == 2
    smaller, larger = (track.fake_prob for track in by_size)
    assert abs(smaller - larger) > 0.01
    one = Protocol("one", "", "linspace", 1)
    assert subject.score(item(tmp_path / "two.png"), one).fake_prob == pytest.approx(larger, abs=2e-3)


@pytest.mark.parametrize("suffix", [".webp", ".png", ".avif"])
def test_of_an_animation_in_a_folder_of_frames_the_first_picture_is_the_frame(
    subject: VidguardSubject, tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    plain, mixed = tmp_path / "plain", tmp_path / "mixed"
    for folder in (plain, mixed):
        folder.mkdir()
        Image.fromarray(astronaut()).save(folder / "1.png")
        Image.fromarray(astronaut()).save(folder / "3.png")
    face, other = Image.fromarray(astronaut()), Image.fromarray(np.zeros_like(astronaut()))
    face.save(plain / f"2{suffix}", lossless=True)
    face.save(mixed / f"2{suffix}", save_all=True, append_images=[other, other], duration=100, lossless=True)
    expected, score = subject.score(item(plain), EIGHT), subject.score(item(mixed), EIGHT)
    assert (expected.status, score.status) == ("ok", "partial")
    assert [f.time for f in score.frames] == [f.time for f in expected.frames] == [0.0, 1.0, 2.0]
    assert "its first picture alone" in caplog.text


def test_a_damaged_picture_in_a_folder_of_frames_is_told(subject: VidguardSubject, tmp_path: Path) -> None:
    Image.fromarray(astronaut()).save(tmp_path / "1.jpg")
    data = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "2.jpg").write_bytes(data[: len(data) * 8 // 10])
    assert subject.score(item(tmp_path), EIGHT).status == "partial"
