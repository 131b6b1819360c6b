"""Training learns from and calibrates on what an analysis judges: nothing too blurred, nothing of dissolves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data

from vidguard.config import AnalysisConfig, FaceConfig
from vidguard.detector import Judge
from vidguard.detector.record import Sighting, TrackRecord, observation
from vidguard.errors import InputError
from vidguard.faces import FaceDetector
from vidguard.protocols.followed import follow_clip
from vidguard.scoring import FrameTokens, Scoring, TrackScorer
from vidguard.scoring.calibration import Calibration, Platt, TrackReading
from vidguard.training import checkpoint
from vidguard.training.calibrate import calibrate, fit_fusion, score_sequence
from vidguard.training.listing import Row
from vidguard.training.material import build_store
from vidguard.training.recipe import load_recipe
from vidguard.training.sequences import Sequence, encode_track, judged_frames, load_sequences
from vidguard.types import Interval, Quality
from vidguard.video import write_video

_DISSOLVE = (1.5, 2.5)


def tracks(judge: Judge, count: int) -> list[Sequence]:
    """Of 40 frames, a quarter of which are too blurred to judge."""
    rng = np.random.default_rng(0)
    found = []
    for k in range(count):
        truth = np.full(40, k % 2 == 0)
        logits = (rng.normal(0, 1, (40, 1)) + 2.5 * truth[:, None]).astype(np.float32)
        embeddings = {"mesoinception4": torch.from_numpy(rng.normal(size=(40, 8)).astype(np.float32))}
        times = torch.arange(40, dtype=torch.float64) / 8
        is_judged = rng.random(40) < 0.75
        tokens = FrameTokens(embeddings, torch.from_numpy(logits[:, 0]), times)
        found.append(Sequence(tokens, logits, truth, is_judged, f"s{k}", "clips"))
    return found


@pytest.fixture
def judge() -> Judge:
    torch.manual_seed(0)
    judge = Judge(("mesoinception4",), {}).eval()
    for parameter in (judge.temporal.frame_head.weight, *judge.temporal.gains()):
        torch.nn.init.normal_(parameter)
    return judge


def test_a_sequence_is_scored_as_an_analysis_scores_a_track(judge: Judge) -> None:
    sequence = tracks(judge, 1)[0]
    identity = Platt(1.0, 0.0)
    levels = Calibration(identity, identity, identity, 0.5, 0.5, 0.5, "made up", "made up")
    record = TrackRecord(
        id=0,
        scorer=TrackScorer(judge.judge_window, AnalysisConfig()),
        scoring=Scoring.of(replace(levels, video_reading=TrackReading("frames", 0.2))),
        min_frames=2,
        clear_from=0.0,
        keep_history=True,
    )
    with torch.inference_mode():
        fused = judge.fuse(torch.from_numpy(sequence.logits))
        for k, is_judged in enumerate(sequence.is_judged):
            seen = observation(k / 8, torch.tensor([0.0, 0, 80, 90]), torch.ones(5, 2), 1.0, Quality(80, 100, 0, 0))
            tokens = replace(sequence.tokens, frame_logits=fused)[k : k + 1]
            shown = Interval(k / 8, (k + 1) / 8)
            record.add(Sighting(0, seen, tokens, b"\xff\xd8\xff\xd9", is_judged=bool(is_judged)), shown)
        record.finish()
    scores = score_sequence(judge, sequence)
    assert [frame.index for frame in scores.frames] == np.flatnonzero(sequence.is_judged).tolist()
    assert scores == record.scores


def test_a_face_missed_for_a_while_is_not_seen_meanwhile(judge: Judge) -> None:
    sequence = tracks(judge, 1)[0]
    times = sequence.tokens.times.clone()
    times[20:] += 0.75
    scores = score_sequence(judge, replace(sequence, tokens=replace(sequence.tokens, times=times)))
    assert max(frame.seconds for frame in scores.frames) == pytest.approx(0.125)
    assert all(segment.end <= 2.5 or segment.start >= 3.25 for segment in scores.segments)


def test_what_is_not_judged_calibrates_nothing(judge: Judge) -> None:
    found = tracks(judge, 40)
    fit_fusion(judge, judged_frames(found))
    expected = calibrate(judge, found)
    for sequence in found:
        sequence.logits[~sequence.is_judged] = 50.0
    assert calibrate(judge, found) == expected
    nothing = replace(found[0], is_judged=np.zeros(40, bool), source="nobody")
    assert calibrate(judge, [*found, nothing])[0] == expected[0]


def test_networks_learn_from_judged_frames_of_tracks_that_have_two(judge: Judge) -> None:
    first, second, third = tracks(judge, 3)
    third.is_judged[1:], third.is_judged[0] = False, True
    (a, b) = judged_frames([first, second, third])
    assert a.is_judged.all()
    assert len(a.tokens) == len(a.logits) == len(a.is_fake) == first.is_judged.sum()
    assert a.tokens.times.tolist() == first.tokens.times[torch.from_numpy(first.is_judged)].tolist()
    assert b.source == second.source


def test_blurred_crops_are_told_from_sharp_ones(judge: Judge) -> None:
    sharp = np.asarray(cv2.resize(data.astronaut()[0:224, 110:334], (224, 224)), np.uint8)
    blurred = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 12), np.uint8)
    track = encode_track(judge, [sharp, blurred, sharp], np.arange(3) / 8, np.zeros(3, bool))
    assert track.is_judged.tolist() == [True, False, True]


def test_a_file_from_before_this_was_known_is_refused(tmp_path: Path) -> None:
    about = '{"lengths": [1], "sources": [""], "datasets": [""], "located": [true]}'
    checkpoint.save_tensors(tmp_path / "s.safetensors", {"times": torch.zeros(1)}, "", sequences=about)
    with pytest.raises(InputError, match="which frames can be judged"):
        load_sequences(tmp_path / "s.safetensors")


@pytest.fixture(scope="module")
def dissolve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """From a grey face to a coloured one, between 1.5 and 2.5 of four seconds."""
    room = np.asarray(cv2.resize(data.coffee(), (384, 256), interpolation=cv2.INTER_AREA), np.uint8)
    first, second = room[:, ::-1].copy(), room.copy()
    other = np.asarray((data.lfw_subset()[7] * 255).round(), np.uint8)[..., None].repeat(3, 2)
    first[60:220, 40:200] = cv2.resize(other, (160, 160), interpolation=cv2.INTER_CUBIC)
    second[20:240, 80:300] = cv2.resize(data.astronaut()[0:240, 110:350], (220, 220), interpolation=cv2.INTER_AREA)

    def frames() -> Iterator[tuple[NDArray[np.uint8], float]]:
        for k in range(32):
            share = min(max((k / 8 - _DISSOLVE[0]) / (_DISSOLVE[1] - _DISSOLVE[0]), 0.0), 1.0)
            yield np.asarray((first * (1 - share) + second * share).round(), np.uint8), k / 8

    path = tmp_path_factory.mktemp("dissolve") / "film.mp4"
    write_video(path, frames(), frame_rate=8.0)
    return path


def _are_outside(times: list[float]) -> None:
    assert not [t for t in times if _DISSOLVE[0] + 0.25 <= t <= _DISSOLVE[1] - 0.25]
    assert [t for t in times if t < _DISSOLVE[0]]
    assert [t for t in times if t > _DISSOLVE[1]]


def test_no_crops_are_cut_from_dissolves(dissolve: Path, tmp_path: Path) -> None:
    recipe = replace(load_recipe("base-v1").material, video_frames_per_second=8.0, max_frames_per_track=100)
    row = Row("film.mp4", "real", "", "web", "train", "g", 0, 0.0)
    say: Callable[[str], None] = lambda _: None  # noqa: E731
    store = build_store([(dissolve, row)], tmp_path / "store", recipe, workers=1, say=say)
    _are_outside([row.time for row in store.rows])


def test_no_face_is_forged_in_dissolves(dissolve: Path) -> None:
    clip = follow_clip(dissolve, FaceDetector(FaceConfig()), max_bytes=1 << 30)
    assert len(clip.landmarks) == len(clip.frames) == 32
    seen = [time for time, points in zip(clip.times, clip.landmarks) if points is not None]
    assert seen
    assert not [t for t in seen if _DISSOLVE[0] + 0.25 <= t <= _DISSOLVE[1] - 0.25]
