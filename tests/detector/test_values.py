"""Whose value is whose: two faces, two encoders with weights of their own, and what a report says of each."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.data import astronaut
from torch import Tensor, nn

import vidguard
from vidguard.detector import Judge
from vidguard.encoders import CROP
from vidguard.faces import FaceDetector, crop_faces
from vidguard.scoring import Scoring
from vidguard.scoring.calibration import Platt
from vidguard.video import write_video

KINDS = ("identity", "generated")
WEIGHTS, BIAS = (1.5, -0.75), 0.25
FRAME = Platt(slope=3.0, offset=-0.4)


def two_faces() -> NDArray[np.uint8]:
    """(240, 480, 3) RGB: a bluish face on the left, the smaller; a reddish one on the right."""
    face = astronaut()[4:244, 110:350].astype(np.float32)
    small = np.asarray(Image.fromarray(face.astype(np.uint8)).resize((180, 180))).astype(np.float32)
    left = np.pad(small * [0.55, 0.75, 1.0], ((30, 30), (30, 30), (0, 0)), mode="edge")
    return np.concatenate([left, face * [1.0, 0.7, 0.45]], axis=1).round().clip(0, 255).astype(np.uint8)


class Tint(nn.Module):
    """Judges a crop by one colour's share: a logit between -3 and 3, its embedding the mean of the three colours."""

    def __init__(self, channel: int) -> None:
        super().__init__()
        self.channel = channel

    def forward(self, crops: Tensor) -> vidguard.encoders.EncoderOutput:
        means = crops.mean((2, 3))
        return vidguard.encoders.EncoderOutput(means, 6 * (means[:, self.channel] / means.sum(1)) - 3)


class TintJudge(Judge):
    """Two encoders that look at red and at blue, fused with different weights; what is blue is "generated"."""

    def __init__(self) -> None:
        super().__init__(("meso4", "mesoinception4"), {}, KINDS)
        self.encoders = nn.ModuleDict({"meso4": Tint(0), "mesoinception4": Tint(2)})
        self.kinds = nn.Linear(6, 3)
        with torch.no_grad():
            self.fusion.weight.copy_(torch.tensor([WEIGHTS]))
            self.fusion.bias.fill_(BIAS)
            self.kinds.bias.zero_()
            self.kinds.weight.zero_()
            self.kinds.weight[1, 0], self.kinds.weight[2, 2] = 9.0, 9.0


@pytest.fixture(scope="module")
def tinted() -> vidguard.Detector:
    """A detector with that judge, whose every face is flagged."""
    detector = vidguard.load(device="cpu")
    detector.judge = TintJudge().eval()
    flags_all = {f"{level}_threshold": 0.0 for level in ("frame", "segment", "video")}
    calibration = replace(detector.passport.calibration, **flags_all, frame=FRAME, finding_threshold=None)
    detector.scoring = Scoring.of(calibration)
    detector.weights = replace(detector.weights, encoders=detector.judge.names)
    return detector


@pytest.fixture(scope="module")
def crops() -> dict[str, NDArray[np.uint8]]:
    """Of the two faces, (224, 224, 3) each, by where they are."""
    frame = torch.from_numpy(two_faces()).permute(2, 0, 1)
    found = FaceDetector(vidguard.AnalysisConfig().faces, device="cpu").detect(frame[None])[0]
    assert len(found) == 2
    cut = crop_faces(frame, found.landmarks_px, CROP).permute(0, 2, 3, 1).numpy()
    return dict(zip(("left" if box[0] < 240 else "right" for box in found.boxes_xyxy_px.tolist()), cut))


def members(crop: NDArray[np.uint8]) -> tuple[float, float]:
    """The two encoders' logits."""
    means = crop.astype(np.float64).mean((0, 1))
    return 6 * means[0] / means.sum() - 3, 6 * means[2] / means.sum() - 3


def fused(crop: NDArray[np.uint8]) -> float:
    return float(np.dot(members(crop), WEIGHTS)) + BIAS


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(two_faces()).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def still(tinted: vidguard.Detector) -> vidguard.Report:
    return tinted.analyze(picture())


def by_place(report: vidguard.Report) -> Iterator[tuple[str, vidguard.types.Track]]:
    assert len(report.tracks) == 2
    for track in report.tracks:
        yield "left" if track.observations[0].box_xyxy_px[0] < 240 else "right", track


def test_each_face_of_a_still_has_its_own_probability_and_type(
    still: vidguard.Report, crops: dict[str, NDArray[np.uint8]]
) -> None:
    for place, track in by_place(still):
        logit = fused(crops[place])
        assert track.fake_prob == pytest.approx(1 / (1 + np.exp(-(3 * logit - 0.4))), abs=2e-3)
        assert track.kind is not None
        assert track.kind.kind == {"left": "generated", "right": "identity"}[place]
        (segment,) = [s for s in still.segments if s.track_id == track.id]
        assert segment.fake_prob == track.fake_prob
        assert segment.num_frames == 1
    probs = dict((place, track.fake_prob) for place, track in by_place(still))
    assert probs["right"] > probs["left"] + 0.3
    assert still.tracks[0].observations[0].quality.face_px > still.tracks[1].observations[0].quality.face_px


def test_a_thumbnail_shows_its_own_face_in_its_own_colours(
    still: vidguard.Report, crops: dict[str, NDArray[np.uint8]]
) -> None:
    places = {track.id: place for place, track in by_place(still)}
    assert sorted(t.track_id for t in still.thumbnails) == [0, 1]
    for shown in still.thumbnails:
        pixels = np.asarray(Image.open(io.BytesIO(shown.jpeg)).convert("RGB"), np.float32)
        expected = crops[places[shown.track_id]].astype(np.float32).mean((0, 1))
        assert pixels.mean((0, 1)) == pytest.approx(expected, abs=2.0)


def test_crops_handed_in_are_judged_as_a_stills_faces_are(
    tinted: vidguard.Detector, still: vidguard.Report, crops: dict[str, NDArray[np.uint8]]
) -> None:
    order = [place for place, _ in by_place(still)]
    batch = torch.from_numpy(np.stack([crops[place] for place in order])).permute(0, 3, 1, 2)
    expected = [track.fake_prob for _, track in by_place(still)]
    assert tinted.score_crops(batch).tolist() == pytest.approx(expected, abs=1e-5)


def test_an_explanation_says_what_each_encoder_adds_by_its_weight(
    tinted: vidguard.Detector, still: vidguard.Report, crops: dict[str, NDArray[np.uint8]]
) -> None:
    places = {track.id: place for place, track in by_place(still)}
    explained = tinted.explain(picture(), still)
    assert sorted(e.track_id for e in explained.explanations) == [0, 1]
    for explanation in explained.explanations:
        expected = np.multiply(members(crops[places[explanation.track_id]]), WEIGHTS)
        assert list(explanation.members) == ["meso4", "mesoinception4"]
        assert list(explanation.members.values()) == pytest.approx(expected.tolist(), abs=5e-3)


def test_two_faces_seen_at_once_are_seconds_of_one_video(tinted: vidguard.Detector, tmp_path: Path) -> None:
    pictures = ((np.ascontiguousarray(np.roll(two_faces(), k % 2, axis=0)), k / 8) for k in range(16))
    write_video(tmp_path / "two.mp4", pictures, crf=12, frame_rate=8)
    report = tinted.analyze(tmp_path / "two.mp4")
    assert sorted(t.kind.kind for t in report.tracks if t.kind is not None) == ["generated", "identity"]
    assert report.coverage.seconds == pytest.approx(2.0)
    assert report.coverage.seconds_with_face == pytest.approx(2.0)
    assert report.coverage.seconds_judged == pytest.approx(2.0)
    kinds = {t.id: t.kind for t in report.tracks}
    assert report.findings
    assert all(finding.kind == kinds[finding.track_id] for finding in report.findings)


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Intersection over union of two (x0, y0, x1, y1) boxes."""
    width, height = (min(one[k + 2], other[k + 2]) - max(one[k], other[k]) for k in (0, 1))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    shared = max(width, 0) * max(height, 0)
    return shared / (sum(areas) - shared)


def test_triage_says_where_each_face_is_the_largest_first(detector: vidguard.Detector) -> None:
    report, triage = detector.analyze(picture()), detector.triage(picture())
    assert len(triage.faces) == 2
    sides = [face.box_xyxy_px[2] - face.box_xyxy_px[0] for face in triage.faces]
    assert sides[0] > sides[1] > 0
    for face, track in zip(triage.faces, report.tracks):
        assert overlap(face.box_xyxy_px, track.observations[0].box_xyxy_px) > 0.7
    assert triage.score == max(face.logit for face in triage.faces)
