"""A followed face's frames, as its findings and its logit are read from them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vidguard.calibration import Platt, TrackReading
from vidguard.detector import record as record_module
from vidguard.detector.record import Sighting, TrackRecord, observation
from vidguard.detector.scorer import TrackScorer
from vidguard.segments import SegmentBuilder
from vidguard.temporal import FrameTokens, TemporalOutput, WindowedJudge
from vidguard.types import Quality, Status
from vidguard.weights import Calibration

IDENTITY = Platt(slope=1.0, offset=0.0)
OLDER = Calibration(IDENTITY, IDENTITY, IDENTITY, 0.5, 0.5, 0.5, "made up", "made up")
NEWER = replace(OLDER, video_reading=TrackReading("frames", 0.2), finding_threshold=0.8)


def as_they_are(embeddings, logits, times, valid) -> TemporalOutput:
    return TemporalOutput(logits, logits.mean(1))


def sighting(number: int, logit: float, detection_prob: float, *, is_judged: bool = True) -> Sighting:
    box, points = torch.tensor([0.0, 0, 80, 90]), torch.ones(5, 2)
    seen = observation(number / 8, box, points, detection_prob, Quality(80, 100, 0, 0))
    tokens = FrameTokens({}, torch.tensor([logit]), torch.tensor([number / 8], dtype=torch.float64))
    return Sighting(4, seen, tokens, b"\xff\xd8\xff\xd9", is_judged=is_judged)


def new_record(calibration: Calibration, *, least: int = 2) -> TrackRecord:
    return TrackRecord(
        id=4,
        scorer=TrackScorer(SegmentBuilder(1.0, 0.3), WindowedJudge(as_they_are)),
        calibration=calibration,
        rule=None,
        min_frames=least,
        clear_from=0.97,
        keep_history=True,
    )


def recorded(
    logits: list[float], calibration: Calibration, *, least: int = 2, detection_probs: list[float] | None = None
) -> TrackRecord:
    """Eight frames a second with these logits."""
    record = new_record(calibration, least=least)
    for k, logit in enumerate(logits):
        prob = 0.99 if detection_probs is None else detection_probs[k]
        record.add(sighting(k, logit, prob), k / 8, (k + 1) / 8)
        record.take()
    record.finish()
    return record


def test_findings_begin_and_end_with_frames_and_not_with_segments() -> None:
    logits = [-2.0] * 100
    logits[21:30] = [3.0] * 9  # 2.625 to 3.75 s
    record = recorded(logits, NEWER)
    (found,) = record.findings(0.8)
    assert (found.track_id, found.start, found.end) == (4, 2.625, 3.75)
    assert found.fake_prob == pytest.approx(1 / (1 + torch.tensor(-3.0).exp().item()), abs=1e-4)
    assert not record.findings(0.99)


def test_the_reading_of_the_weights_decides_what_a_face_scores() -> None:
    logits = [-2.0] * 80
    logits[20:36] = [3.0] * 16  # a fifth of the frames; two whole segments and parts of none
    older, newer = (recorded(logits, c).track().fake_prob for c in (OLDER, NEWER))
    assert newer == pytest.approx(Platt(1.0, 0.0)(3.0), abs=1e-4)
    parts = sorted([s.logit for s in recorded(logits, OLDER).stretches], reverse=True)
    assert older == pytest.approx(Platt(1.0, 0.0)(sum(parts[:5]) / 5), abs=1e-4)


def test_a_face_that_is_not_judged_has_no_findings() -> None:
    record = recorded([5.0] * 3, NEWER, least=4)
    assert record.track().status is Status.TOO_SHORT
    assert record.findings(0.5) == ()


def test_what_is_hardly_ever_a_clear_face_is_not_judged() -> None:
    unclear = recorded([5.0] * 16, NEWER, detection_probs=[0.96] * 15 + [0.99])
    assert unclear.track().status is Status.TOO_SHORT
    assert len(unclear.track().observations) == 16
    clear = recorded([5.0] * 16, NEWER, detection_probs=[0.8] * 14 + [0.97, 0.97])
    assert clear.track().status is Status.OK


def test_segments_wait_until_a_track_is_sure_to_be_judged() -> None:
    record = new_record(NEWER)
    given = []
    for k in range(40):
        record.add(sighting(k, 1.0, 0.99 if k in (0, 25) else 0.8), k / 8, (k + 1) / 8)
        given.append(record.take())
    given.append(record.finish())
    assert not any(given[:25])
    segments = [segment for some in given for segment in some]
    assert [segment.start for segment in segments] == [0, 1, 2, 3, 4]
    assert all(segment.fake_prob is not None for segment in segments)


@pytest.mark.parametrize("at_once", [1, 7, 100])
def test_what_is_not_clear_for_long_is_given_up_however_the_stream_is_cut(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(record_module, "_PATIENCE", 3)
    record = new_record(NEWER)
    segments = []
    for k in range(80):
        record.add(sighting(k, 1.0, 0.99 if k > 70 else 0.8), k / 8, (k + 1) / 8)
        if k % at_once == 0:
            segments += record.take()
    segments += record.finish()
    assert [segment.start for segment in segments] == list(range(10))
    assert all(segment.fake_prob is None for segment in segments)
    assert record.track().status is Status.TOO_SHORT


def test_looks_that_are_too_blurred_decide_nothing() -> None:
    record = new_record(NEWER)
    segments = []
    for k in range(48):  # blurred from 1 s to 4 s, and for a moment at 5 s
        blurred = 8 <= k < 32 or k == 40
        record.add(sighting(k, 9.0 if blurred else -2.0, 0.99, is_judged=not blurred), k / 8, (k + 1) / 8)
        segments += record.take()
    segments += record.finish()
    assert [(s.start, s.num_frames, s.fake_prob is None) for s in segments] == [
        (0, 8, False),
        (1, 0, True),
        (2, 0, True),
        (3, 0, True),
        (4, 8, False),
        (5, 7, False),
    ]
    track = record.track()
    assert track.status is Status.OK
    assert track.fake_prob == pytest.approx(Platt(1.0, 0.0)(-2.0), abs=1e-4)
    assert [o.fake_prob is None for o in track.observations] == [8 <= k < 32 or k == 40 for k in range(48)]
    assert not record.findings(0.8)


@pytest.mark.parametrize(("num_sharp", "status"), [(0, Status.TOO_BLURRED), (1, Status.TOO_BLURRED), (2, Status.OK)])
def test_a_face_that_is_never_sharp_is_not_judged(num_sharp: int, status: Status) -> None:
    record = new_record(NEWER)
    for k in range(16):
        record.add(sighting(k, 9.0, 0.99, is_judged=k < num_sharp), k / 8, (k + 1) / 8)
    record.finish()
    assert record.track().status is status
    assert (record.track().fake_prob is None) == (status is not Status.OK)
