"""Triage with the shipped weights: what it looks at, what its scores are, and what it never clears."""

from __future__ import annotations

import io
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut, coffee

import vidguard
from vidguard.config import FaceConfig
from vidguard.detector.triage import Outcome, Triage, TriageFace, decide
from vidguard.encoders import CROP
from vidguard.errors import LimitError, ReportFormatError, SourceError, WeightsError
from vidguard.faces import Detections, FaceDetector, align_crops
from vidguard.types import SourceInfo
from vidguard.video import open_source
from vidguard.weights import TriagePlan, TriagePoint

NEVER, ALWAYS = -1e5, 1e5  # thresholds below and above any logit
ENCODER = "efficientnet_lite0"


def encoded(picture: np.ndarray, key_every: int, count: int = 40) -> bytes:
    """A picture that drifts, ten frames a second."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as target:
        options = {"crf": "20", "preset": "ultrafast", "g": str(key_every), "sc_threshold": "0"}
        stream = target.add_stream("libx264", rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = 256, 256, "yuv420p"
        for k in range(count):
            shown = np.ascontiguousarray(picture[:256, k : k + 256])
            target.mux(stream.encode(av.VideoFrame.from_ndarray(shown, "rgb24")))
        target.mux(stream.encode())
    return out.getvalue()


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def detector() -> vidguard.Detector:
    """The shipped weights with points of the test's own: 0.01 clears nothing, 0.02 everything that may be cleared."""
    loaded = vidguard.load("base-v1", device="cpu")
    points = (TriagePoint(0.01, "fakes", ENCODER, NEVER), TriagePoint(0.02, "fakes", ENCODER, ALWAYS))
    fused = TriagePoint(0.02, "found", None, ALWAYS)
    loaded.passport = replace(loaded.passport, triage=TriagePlan(4, (*points, fused), "a test"))
    return loaded


@pytest.fixture(scope="module")
def face() -> bytes:
    return encoded(astronaut()[:, 100:], key_every=10)


@pytest.fixture(scope="module")
def answer(detector: vidguard.Detector, face: bytes) -> Triage:
    return detector.triage(face, misses=0.02)


def test_scores_are_those_of_the_same_frames_in_a_full_pass(
    detector: vidguard.Detector, face: bytes, answer: Triage
) -> None:
    assert answer.times == (0.0, 1.0, 2.0, 3.0)
    faces = FaceDetector(FaceConfig(max_detection_side_px=640))
    expected: dict[str, list[float]] = {ENCODER: [], "fused": []}
    with open_source(face) as reader:
        for batch in reader.batches(batch_size=1):
            if batch.pts_seconds[0] in answer.times:
                (found,) = faces.detect(batch.frames)
                where = torch.zeros(len(found), dtype=torch.long)
                features = detector.judge.encode(align_crops(batch.frames, where, found.landmarks_px, CROP))
                expected[ENCODER] += features.logits[ENCODER].tolist()
                expected["fused"] += features.fake_logit.tolist()
    assert len(expected[ENCODER]) >= 4
    assert [f.logit for f in answer.faces] == pytest.approx(expected[ENCODER], abs=1e-4)
    assert answer.score == max(f.logit for f in answer.faces)
    fused = detector.triage(face, misses=0.02, of="found")
    assert fused.encoder is None
    assert [f.logit for f in fused.faces] == pytest.approx(expected["fused"], abs=1e-4)


def test_the_threshold_decides(detector: vidguard.Detector, face: bytes, answer: Triage) -> None:
    assert answer.outcome is Outcome.CLEARED
    checked = detector.triage(face)
    assert (checked.outcome, checked.threshold) == (Outcome.CHECK, NEVER)
    assert "reaches the threshold" in checked.why


def test_the_same_file_gets_the_same_answer_and_json_holds_it_whole(
    detector: vidguard.Detector, face: bytes, answer: Triage
) -> None:
    assert detector.triage(face, misses=0.02) == answer
    assert Triage.from_json(answer.to_json()) == answer
    assert "\n" not in answer.to_json(indent=None)
    with pytest.raises(ReportFormatError, match="triage"):
        Triage.from_json(answer.to_json().replace('"cleared"', '"genuine"'))


def test_what_shows_too_little_or_is_damaged_is_never_cleared(detector: vidguard.Detector, face: bytes) -> None:
    long_group = detector.triage(encoded(astronaut()[:, 100:], key_every=1000), misses=0.02)
    assert (long_group.outcome, long_group.times) == (Outcome.CHECK, (0.0,))
    assert "fewer than 3" in long_group.why
    cut = detector.triage(face[: len(face) * 95 // 100], misses=0.02)
    assert cut.outcome is Outcome.CHECK
    assert "damaged" in cut.why
    assert cut.notes
    for source in (b"", b"text", Path("nowhere.mp4")):
        with pytest.raises(SourceError):
            detector.triage(source, misses=0.02)
    narrow = copy(detector)
    narrow.config = vidguard.AnalysisConfig(limits=vidguard.Limits(max_pixels=1000))
    with pytest.raises(LimitError):
        narrow.triage(face)


def test_without_a_face_nothing_is_cleared_but_told_apart(detector: vidguard.Detector) -> None:
    answer = detector.triage(encoded(coffee()[:256], key_every=10), misses=0.02)
    assert (answer.outcome, answer.score, answer.faces) == (Outcome.NO_FACE, None, ())


def test_what_shows_a_face_only_when_turned_is_checked_at_a_bounded_cost(
    detector: vidguard.Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches: list[int] = []
    detect = FaceDetector.detect

    def counted(self: FaceDetector, frames: torch.Tensor) -> list[Detections]:
        searches.append(len(frames))
        return detect(self, frames)

    monkeypatch.setattr(FaceDetector, "detect", counted)
    sideways = detector.triage(encoded(np.rot90(astronaut()[:300, 100:400], 2).copy(), key_every=10), misses=0.02)
    assert sideways.outcome is Outcome.CHECK
    assert "turned picture" in sideways.why
    searches.clear()
    empty = detector.triage(encoded(coffee()[:256], key_every=10), misses=0.02)
    assert empty.outcome is Outcome.NO_FACE
    num_turned = sum(searches) - len(empty.times)
    assert 0 < num_turned <= 3 * 4  # the 1st, 2nd, 4th and 8th key frame
    searches.clear()
    upright = detector.triage(encoded(astronaut(), key_every=10), misses=0.02)
    assert sum(searches) == len(upright.times)


def test_a_still_is_judged_by_its_one_picture(detector: vidguard.Detector) -> None:
    file = io.BytesIO()
    Image.fromarray(astronaut()).save(file, "JPEG", quality=95)
    answer = detector.triage(file.getvalue(), misses=0.02)
    assert (answer.outcome, answer.times, answer.source.kind) == (Outcome.CLEARED, (0.0,), "image")
    broken = detector.triage(file.getvalue()[: len(file.getvalue()) // 2], misses=0.02)
    assert broken.outcome is Outcome.CHECK


def test_a_point_that_was_never_measured_is_refused(detector: vidguard.Detector, face: bytes) -> None:
    with pytest.raises(WeightsError, match=r"no operating point for 0\.5 of fakes; it has 0\.01 of fakes"):
        detector.triage(face, misses=0.5)
    plain = copy(detector)
    plain.passport = replace(detector.passport, triage=None)
    with pytest.raises(WeightsError, match="no operating point for triage"):
        plain.triage(face)


@pytest.mark.parametrize(
    ("score", "num_frames", "is_still", "damaged", "outcome"),
    [
        (-1.0, 3, False, False, Outcome.CLEARED),
        (-1.0, 2, False, False, Outcome.CHECK),
        (-1.0, 1, True, False, Outcome.CLEARED),
        (0.0, 8, False, False, Outcome.CHECK),
        (-1.0, 8, False, True, Outcome.CHECK),
        (None, 8, False, False, Outcome.NO_FACE),
        (None, 8, False, True, Outcome.CHECK),
        (None, 0, False, False, Outcome.CHECK),
    ],
)
def test_the_rule(score: float | None, num_frames: int, is_still: bool, damaged: bool, outcome: Outcome) -> None:
    assert decide(score, 0.0, num_frames=num_frames, is_still=is_still, damaged=damaged) is outcome
    if outcome is Outcome.CLEARED:
        blurred = decide(score, 0.0, num_frames=num_frames, is_still=is_still, damaged=damaged, blurred=True)
        assert blurred is Outcome.CHECK
    lies = decide(score, 0.0, num_frames=num_frames, is_still=is_still, damaged=damaged, lies=True)
    assert lies is Outcome.CHECK


def test_an_answer_that_contradicts_itself_is_refused() -> None:
    face = TriageFace(0.0, (0.0, 0.0, 9.0, 9.0), 1.0)
    common = {"why": "", "threshold": 0.0, "misses": 0.01, "of": "fakes", "encoder": None, "times": (0.0,)}
    common |= {"source": SourceInfo("video", "x"), "weights": "w", "weights_sha256": ""}
    with pytest.raises(ValueError, match="cleared with a score"):
        Triage(outcome=Outcome.CLEARED, score=1.0, faces=(face,), **common)
    with pytest.raises(ValueError, match="no_face with 1"):
        Triage(outcome=Outcome.NO_FACE, score=1.0, faces=(face,), **common)
    with pytest.raises(ValueError, match="the score is"):
        Triage(outcome=Outcome.CHECK, score=None, faces=(face,), **common)


def test_each_answer_is_logged_with_what_was_wrong(
    detector: vidguard.Detector, face: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="vidguard"):
        answer = detector.triage(face[: len(face) // 2])
        report = detector.analyze(np_png())
    assert any(message.startswith(f"<bytes>: {answer.outcome.value} in ") for message in caplog.messages)
    assert any(message.startswith(f"<bytes>: {report.status.value} in ") for message in caplog.messages)
    assert f"<bytes>: note: {report.engine.notes[-1]}" in caplog.messages


def np_png() -> bytes:
    kept = io.BytesIO()
    Image.new("RGB", (64, 64)).save(kept, "PNG")
    return kept.getvalue()
