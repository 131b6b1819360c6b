"""A followed face's frames, as its findings and its logit are read from them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vidguard.config import AnalysisConfig
from vidguard.detector import record as record_module
from vidguard.detector.record import Sighting, TrackRecord, observation
from vidguard.scoring import FrameTokens, Scoring, TrackScorer, score_track
from vidguard.scoring.calibration import Band, Calibration, DecisionRule, Platt, TrackReading
from vidguard.temporal import TemporalOutput, TemporalTransformer
from vidguard.types import Interval, Quality, Status

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
        scorer=TrackScorer(as_they_are, AnalysisConfig()),
        scoring=Scoring.of(calibration),
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
        record.add(sighting(k, logit, prob), Interval(k / 8, (k + 1) / 8))
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
        record.add(sighting(k, 1.0, 0.99 if k in (0, 25) else 0.8), Interval(k / 8, (k + 1) / 8))
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
        record.add(sighting(k, 1.0, 0.99 if k > 70 else 0.8), Interval(k / 8, (k + 1) / 8))
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
        record.add(sighting(k, 9.0 if blurred else -2.0, 0.99, is_judged=not blurred), Interval(k / 8, (k + 1) / 8))
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
        record.add(sighting(k, 9.0, 0.99, is_judged=k < num_sharp), Interval(k / 8, (k + 1) / 8))
    record.finish()
    assert record.track().status is status
    assert (record.track().fake_prob is None) == (status is not Status.OK)


def test_frames_segments_and_faces_are_calibrated_by_their_own_levels() -> None:
    segment, video = Platt(slope=0.5, offset=-1.0), Platt(slope=2.0, offset=0.75)
    calibration = replace(NEWER, segment=segment, video=video, video_reading=TrackReading("segments", 1.0))
    record = new_record(calibration)
    segments = []
    for k in range(16):
        record.add(sighting(k, 2.0 if k < 8 else -1.0, 0.99), Interval(k / 8, (k + 1) / 8))
        segments += record.take()
    segments += record.finish()
    assert [s.fake_prob for s in segments] == [0.5, 0.18243]  # sigmoid(0.5 * 2 - 1), sigmoid(0.5 * -1 - 1)
    assert {o.fake_prob for o in record.observations} == {0.5, 0.18243}
    assert record.track().fake_prob == 0.85195  # sigmoid(2 * (2 - 1) / 2 + 0.75)
    assert [s.num_frames for s in segments] == [8, 8]


def test_a_face_is_labelled_by_the_bounds_of_videos_and_its_segments_by_theirs() -> None:
    rule = DecisionRule(0.05, Band(0.0, 1.0), Band(0.2, 0.6), Band(0.9, 0.95), "made up")
    record = TrackRecord(
        id=4,
        scorer=TrackScorer(as_they_are, AnalysisConfig()),
        scoring=Scoring.of(NEWER, rule),
        min_frames=2,
        clear_from=0.97,
        keep_history=True,
    )
    for k in range(8):
        record.add(sighting(k, 1.0, 0.99), Interval(k / 8, (k + 1) / 8))
    (segment,) = record.finish()
    assert (segment.fake_prob, segment.decision) == (0.73106, "manipulated")
    assert (record.track().fake_prob, record.track().decision) == (0.73106, "genuine")


def test_a_track_is_scored_the_same_by_the_analysis_and_at_once() -> None:
    torch.manual_seed(3)
    temporal = TemporalTransformer(("one",), width=8, heads=2, layers=1).eval()
    count = 150  # several windows
    embeddings = {"one": torch.randn(count, 8)}
    logits, times = torch.randn(count), torch.arange(count, dtype=torch.float64) / 8
    judged = [k % 7 != 3 for k in range(count)]
    # the face is hidden from 5 s to 9 s
    shown = [Interval(t + 4 * (t >= 5), t + 4 * (t >= 5) + 0.125) for t in times.tolist()]
    tokens = FrameTokens(embeddings, logits, torch.tensor([i.start for i in shown], dtype=torch.float64))
    with torch.inference_mode():
        at_once = score_track(temporal, shown, tokens, AnalysisConfig(), is_judged=judged)
        record = new_record(NEWER)
        record.scorer = TrackScorer(temporal, AnalysisConfig())
        segments = []
        for k, one in enumerate(shown):
            seen = replace(sighting(k, 0.0, 0.99, is_judged=judged[k]), tokens=tokens[k : k + 1])
            record.add(seen, one)
            segments += record.take()
        segments += record.finish()
    assert record.scores == at_once
    assert [(s.start, s.end, s.num_frames) for s in segments] == [
        (s.start, s.end, s.num_frames) for s in at_once.segments
    ]
    assert len(at_once.frames) == sum(judged)
    logit = at_once.logit(NEWER.video_reading)
    assert logit is not None
    assert record.track().fake_prob == Scoring.of(NEWER).video.probability(logit)
