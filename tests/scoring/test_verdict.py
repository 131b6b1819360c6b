"""The verdict neither grows with a video's length nor with its faces, and still finds one forged face among several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from vidguard.scoring.calibration import Band, GenuineScores, Platt, TrackReading, fit_genuine_scores
from vidguard.scoring.levels import Level, Scoring
from vidguard.scoring.segments import ScoredFrame, ScoredStretch
from vidguard.scoring.track import TrackScores
from vidguard.scoring.verdict import track_logit, video_logit
from vidguard.training.calibrate import READING

STANDARD = GenuineScores()


def stretches(logits: list[float], seconds: float = 1.0) -> list[ScoredStretch]:
    return [ScoredStretch(i * seconds, (i + 1) * seconds, logit, 8, ()) for i, logit in enumerate(logits)]


def test_a_tracks_logit_neither_dilutes_nor_grows_with_length() -> None:
    assert track_logit(stretches([2.0, 2.0]), 0.5) == pytest.approx(2.0)
    assert track_logit(stretches([4.0, -4.0]), 0.5) == pytest.approx(4.0)
    assert track_logit(stretches([4.0, -4.0]), 1.0) == pytest.approx(0.0)
    assert track_logit(stretches([4.0, 2.0, -4.0]), 0.5) == pytest.approx((4.0 + 0.5 * 2.0) / 1.5)
    for share in (0.2, 0.5):
        long, short = stretches([1.0, -1.0, 0.3] * 20), stretches([1.0, -1.0, 0.3])
        assert track_logit(long, share) == pytest.approx(track_logit(short, share))


def test_a_genuine_face_gains_nothing_from_being_seen_for_longer() -> None:
    rng = np.random.default_rng(3)

    def flagged(seconds: int, share: float) -> float:
        found = 0
        for _ in range(400):
            steps = rng.normal(0, 0.6, 8 * seconds)
            noise = [rng.normal(0, 1)]
            for step in steps[1:]:
                noise.append(0.8 * noise[-1] + step)  # neighbouring frames are alike, and every face has its own level
            level = rng.normal(-2, 1)
            found += track_logit(stretches([level + x for x in noise], 0.125), share) > 0.0
        return found / 400

    once, long = flagged(4, READING.share), flagged(40, READING.share)
    assert 0.05 < once < 0.4
    assert long <= once + 0.06
    # what the maximum, a share of next to nothing, would do
    assert flagged(40, 1e-6) > flagged(4, 1e-6) + 0.1


def test_a_face_forged_in_part_stands_out_by_a_fifth_of_its_frames_and_hardly_by_half_of_its_segments() -> None:
    rng = np.random.default_rng(4)

    def frames(forged: float) -> list[float]:
        return [*rng.normal(3.0, 0.5, round(64 * forged)), *rng.normal(-2.0, 0.5, 64 - round(64 * forged))]

    for forged in (0.2, 1.0):
        assert track_logit(stretches(frames(forged), 0.125), READING.share) > 2.0
    assert track_logit(stretches(frames(0.2), 0.125), 0.5) < 1.0


def test_older_weights_read_segments_and_newer_ones_frames() -> None:
    segments = (*stretches([1.0, -1.0]), ScoredStretch(2.0, 3.0, 9.0, 0, ()))  # nothing was judged in the last one
    frames = tuple(ScoredFrame(k / 2, (k + 1) / 2, logit, k) for k, logit in enumerate([3.0, -1.0, -1.0, -1.0]))
    scores = TrackScores(frames, segments)
    assert tuple(scores.parts(TrackReading())) == segments[:2]
    assert scores.parts(READING) == frames
    assert scores.logit(TrackReading()) == 1.0
    assert scores.logit(TrackReading("frames", 0.5)) == 1.0
    assert scores.logit(TrackReading("segments", 1.0)) == 0.0
    assert TrackScores((), segments[2:]).logit(TrackReading()) is None
    with pytest.raises(ValueError, match="share"):
        TrackReading("frames", 0.0)


def test_a_video_says_the_same_when_everything_in_it_is_repeated() -> None:
    faces = {0: [-3.0, 1.0, 0.5], 1: [2.0, 2.5]}
    once = video_logit({k: stretches(v) for k, v in faces.items()}, STANDARD, 0.5)
    assert video_logit({k: stretches(v * 7) for k, v in faces.items()}, STANDARD, 0.5) == pytest.approx(once)
    assert video_logit({k: stretches(v, 0.2) for k, v in faces.items()}, STANDARD, 0.5) == pytest.approx(once)


def test_one_face_keeps_its_logit_and_no_face_gives_no_number() -> None:
    assert video_logit({3: stretches([0.3, 1.7])}, STANDARD, 0.5) == track_logit(stretches([0.3, 1.7]), 0.5)
    assert video_logit({3: stretches([0.3, 1.7]), 4: []}, STANDARD, 0.5) == track_logit(stretches([0.3, 1.7]), 0.5)
    assert video_logit({}, STANDARD, 0.5) is None


def flag_rate(faces: int, threshold: float, genuine: GenuineScores, draw, rng: np.random.Generator) -> float:
    """Share of videos flagged whose faces, of unequal time, are all genuine."""
    flagged = 0
    for _ in range(600):
        times = rng.uniform(0.5, 8, faces)
        video = {k: [ScoredStretch(0.0, float(t), draw(), 8, ())] for k, t in enumerate(times)}
        logit = video_logit(video, genuine, 0.5)
        assert logit is not None
        flagged += logit >= threshold
    return flagged / 600


@pytest.mark.parametrize("rate", [0.01, 0.05])
def test_more_genuine_faces_are_flagged_no_more_often_than_one(rate: float) -> None:
    rng = np.random.default_rng(6)
    # neither the normal nor the logistic distribution: skewed, its tail cut as a saturating network's is
    known = np.minimum(rng.gamma(2.0, 1.0, 2000) - 3.5, 3.5)
    genuine = fit_genuine_scores(known, [str(i) for i in range(len(known))])
    threshold = float(np.quantile(known, 1 - rate))
    noise = 2 * np.sqrt(rate / 600)
    for faces in (2, 4, 12):
        found = flag_rate(faces, threshold, genuine, lambda: float(rng.choice(known)), rng)
        assert found <= rate + noise
        assert rate < 0.05 or faces > 4 or found > rate / 4  # and the correction doesn't cost everything
    uncorrected = np.mean([rng.choice(known, 12).max() >= threshold for _ in range(600)])
    assert uncorrected > 5 * rate  # what the largest of their probabilities does


def test_one_forged_face_among_several_genuine_ones_is_found() -> None:
    genuine = {k: stretches([-3.0] * 60) for k in range(5)}
    logit = video_logit({**genuine, 5: stretches([6.0] * 60)}, STANDARD, 0.5)
    assert logit is not None
    assert 3.5 < logit < 6.0
    short = video_logit({0: stretches([-5.0] * 60), 1: stretches([6.0] * 5)}, STANDARD, 0.5)
    assert short is not None
    assert short > 2.0  # a long genuine shot doesn't outvote it


def test_a_passer_by_takes_little_from_the_others_and_needs_more_to_decide() -> None:
    main = stretches([2.0] * 30)
    with_glimpse = video_logit({0: main, 1: stretches([-1.0])}, STANDARD, 0.5)
    assert with_glimpse == pytest.approx(2.0, abs=0.05)
    quiet = stretches([-3.0] * 30)
    assert video_logit({0: quiet, 1: stretches([2.0])}, STANDARD, 0.5) < 0  # a false detection's usual score
    assert video_logit({0: quiet, 1: stretches([8.0])}, STANDARD, 0.5) > 3


def label_of(band: Band, fake_prob: float, faces: Sequence[float | None], *, complete: bool = True) -> str:
    level = Level(Platt(1.0, 0.0), band.manipulated_from, band)
    scoring = Scoring(level, level, level, TrackReading(), None, "made up", 0.05)
    decision = scoring.decision(level, fake_prob, faces, complete=complete)
    assert decision is not None
    assert (decision.genuine_below, decision.manipulated_from) == (band.genuine_below, band.manipulated_from)
    return decision.label


def test_a_video_is_called_genuine_only_where_each_face_is() -> None:
    band = Band(genuine_below=0.2, manipulated_from=0.7)
    assert label_of(band, 0.8, [0.9, 0.1]) == "manipulated"
    assert label_of(band, 0.7, [0.9, 0.1]) == "manipulated"
    assert label_of(band, 0.1, [0.15, None]) == "genuine"
    assert label_of(band, 0.1, [0.2, 0.1]) == "undecided"  # the correction took it below
    assert label_of(band, 0.1, [0.1, None, 0.2]) == "undecided"
    assert label_of(band, 0.5, [0.75, 0.1]) == "undecided"


def test_a_source_that_was_seen_in_part_is_never_called_genuine() -> None:
    band = Band(genuine_below=0.2, manipulated_from=0.7)
    assert label_of(band, 0.1, [0.1], complete=False) == "undecided"
    assert label_of(band, 0.9, [0.9], complete=False) == "manipulated"


def test_a_forged_face_is_called_genuine_no_more_often_among_genuine_ones() -> None:
    rng = np.random.default_rng(7)
    band, misses = Band(genuine_below=0.3, manipulated_from=0.9), {1: 0, 6: 0}
    for faces in misses:
        for _ in range(600):
            logits = [rng.normal(1.0, 1.5), *rng.normal(-2, 1, faces - 1)]
            video = {k: stretches([float(x)]) for k, x in enumerate(logits)}
            probs = [1 / (1 + np.exp(-x)) for x in (video_logit(video, STANDARD, 0.5), *logits)]
            misses[faces] += label_of(band, probs[0], probs[1:]) == "genuine"
    assert misses[6] <= misses[1]
    assert misses[1] > 15
