"""The kind of manipulation in reports: only of what counts as manipulated, read from the frames that look so."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from skimage.data import astronaut
from torch import nn

import vidguard
from vidguard.detector.judge import Judge
from vidguard.render.html import render_html
from vidguard.render.table import report_table
from vidguard.scoring import Scoring
from vidguard.scoring.kinds import likeliest_kind
from vidguard.types import KindGuess
from vidguard.video import TimedImage, write_video

KINDS = ("identity", "generated")


def test_the_likeliest_kind_weighs_frames_by_how_fake_they_are() -> None:
    rng = np.random.default_rng(0)
    logits, weights = rng.normal(0, 2, (20, 5)), rng.random(20)
    names = ("identity", "expression", "attribute", "generated")
    total = np.zeros(4)
    for row, weight in zip(logits, weights):
        odds = np.exp(row[1:])
        total += weight * odds / odds.sum()
    shares = total / weights.sum()
    expected = KindGuess(names[int(shares.argmax())], round(float(shares.max()), 4))
    assert likeliest_kind(names, logits.tolist(), weights.tolist()) == expected
    logits[:, 0] += 50  # the genuine's logit says nothing of the kind
    assert likeliest_kind(names, logits.tolist(), weights.tolist()) == expected
    apart = [[0.0, 9.0, 0.0], [0.0, 0.0, 3.0]]
    assert likeliest_kind(KINDS, apart, [0.9, 0.1]).kind == "identity"
    assert likeliest_kind(KINDS, apart, [0.1, 0.9]).kind == "generated"
    assert likeliest_kind(KINDS, apart, [0.0, 0.0]).kind == "identity"
    assert likeliest_kind(KINDS, [], []) is None
    assert likeliest_kind((), [], []) is None


@pytest.fixture
def portraits(tmp_path: Path) -> tuple[Path, Path]:
    """A clip of two seconds and a still."""
    face = np.ascontiguousarray(astronaut()[4:244, 110:350])

    def pictures() -> Iterator[TimedImage]:
        for k in range(16):
            yield np.ascontiguousarray(np.roll(face, k % 3, axis=1)), k / 8

    write_video(tmp_path / "clip.mp4", pictures(), crf=14, frame_rate=8)
    Image.fromarray(face).save(tmp_path / "still.png")
    return tmp_path / "clip.mp4", tmp_path / "still.png"


def naming(threshold: float, *, head: bool = True) -> vidguard.Detector:
    """The open weights with a head that takes every face for generated, flagging from a threshold."""
    detector = vidguard.load("open-v1", device="cpu")
    if head:
        width = sum(encoder.embedding_dim for encoder in detector.judge.encoders.values())
        detector.judge.kind_names, detector.judge.kinds = KINDS, nn.Linear(width, 3)
        with torch.no_grad():
            detector.judge.kinds.weight.zero_()
            detector.judge.kinds.bias.copy_(torch.tensor([9.0, 0.0, 2.0]))
    thresholds = {f"{level}_threshold": threshold for level in ("frame", "segment", "video")}
    detector.scoring = Scoring.of(replace(detector.passport.calibration, **thresholds, finding_threshold=None))
    detector.weights = replace(
        detector.weights, threshold=threshold, segment_threshold=threshold, finding_threshold=None
    )
    return detector


def test_only_what_counts_as_manipulated_has_a_kind(portraits: tuple[Path, Path]) -> None:
    expected = KindGuess("generated", round(float(np.exp(2) / (1 + np.exp(2))), 4))
    flagging, trusting, without = naming(0.0), naming(1.0), naming(0.0, head=False)
    for source in portraits:
        report = flagging.analyze(source)
        assert report.tracks
        assert report.findings
        assert all(found.kind == expected for found in (*report.tracks, *report.findings))
        assert vidguard.Report.from_json(report.to_json()) == report
        assert all(track.kind is None for track in trusting.analyze(source).tracks)
        plain = without.analyze(source)
        assert plain.findings
        assert all(found.kind is None for found in (*plain.tracks, *plain.findings))
        assert plain.fake_prob == report.fake_prob

        old = json.loads(plain.to_json())
        for found in (*old["tracks"], *old["findings"]):
            del found["kind"]
        assert vidguard.Report.from_json(json.dumps(old)) == plain

        console = Console(width=120, record=True, file=io.StringIO())
        console.print(report_table(report))
        shown = console.export_text()
        assert "generated 88%" in shown
        assert "generated 88%" in render_html(report)
        assert 'col">Kind<' in render_html(report)
        assert 'col">Kind<' not in render_html(plain)


def test_a_judge_with_kinds_answers_per_crop_and_none_without() -> None:
    judge = Judge(("meso4", "amtennet"), {}, KINDS).eval()
    crops = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 224, 224), np.uint8))
    features = judge.encode(crops)
    joined = torch.cat([features.embeddings["amtennet"], features.embeddings["meso4"]], 1)
    assert judge.kinds is not None
    torch.testing.assert_close(features.kind_logits, judge.kinds(joined))
    assert judge.encode(crops[:0]).kind_logits.shape == (0, 3)
    assert Judge(("meso4",), {}).eval().encode(crops).kind_logits is None
