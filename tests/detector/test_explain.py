"""Explanations: that they add up, point at the place the evidence comes from, and belong to the report's findings."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import vidguard
from vidguard.demo import DemoClip
from vidguard.detector.explain import _shares, evidence_map
from vidguard.encoders import CROP, ENCODERS, Encoder, EncoderOutput
from vidguard.faces import template_landmarks


class SeesRed(Encoder):
    """Fake is what is red, wherever it is."""

    input_size, embedding_dim = 64, 1

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 4, stride=4, bias=False)
        nn.init.zeros_(self.conv.weight)
        self.conv.weight.data[0, 0] = 1.0

    def forward(self, crops: Tensor) -> EncoderOutput:
        mean = self.conv(crops).mean((2, 3))
        return EncoderOutput(mean, 3.0 * mean[:, 0] - 1.0)


def test_what_places_add_sums_up_to_the_logit_behind_an_average_and_a_linear_layer() -> None:
    torch.manual_seed(0)
    encoder = ENCODERS["efficientnet_lite0"]().eval()
    crop = torch.rand(1, 3, encoder.input_size, encoder.input_size)
    logit, places = evidence_map(encoder, crop)
    bias = [m for m in encoder.modules() if isinstance(m, nn.Linear)][-1].bias
    assert places.shape == (5, 5)
    assert places.sum() + bias.item() == pytest.approx(logit, abs=1e-4)
    assert logit == pytest.approx(encoder(crop).fake_logit.item(), abs=1e-5)
    assert not any(m._forward_hooks for m in encoder.modules())


def test_evidence_lies_where_it_is_and_has_the_name_of_that_part() -> None:
    points = template_landmarks(CROP).numpy() / CROP.size * 64
    for part, (x, y) in {"eyes": points[:2].mean(0), "nose": points[2], "mouth": points[3:].mean(0)}.items():
        crop = torch.zeros(1, 3, 64, 64)
        left, top = round(x) - 4, round(y) - 3
        crop[0, 0, top : top + 6, left : left + 8] = 1.0
        logit, places = evidence_map(SeesRed(), crop)
        assert places.sum() == pytest.approx(logit + 1.0, abs=1e-5)
        fine = cv2.resize(places, (CROP.size, CROP.size), interpolation=cv2.INTER_NEAREST)
        shares = _shares(fine)
        assert next(iter(shares)) == part
        assert shares[part] > 0.6
        assert sum(shares.values()) == pytest.approx(1.0, abs=0.003)
    assert _shares(np.full((CROP.size, CROP.size), -1.0, np.float32)) == {}


def test_a_report_gets_an_explanation_for_each_finding_from_its_most_suspicious_frame(
    detector: vidguard.Detector, clip: DemoClip, report: vidguard.Report
) -> None:
    explained = detector.explain(clip.path, report)
    assert len(explained.explanations) == len(report.findings) >= 1
    for finding, found in zip(sorted(report.findings, key=lambda f: f.start), explained.explanations):
        inside = [o for o in report.tracks[0].observations if finding.start <= o.time < finding.end]
        best = max(inside, key=lambda o: o.fake_prob or 0)
        assert found.time == best.time
        assert set(found.members) == set(detector.judge.names)
        picture = cv2.imdecode(np.frombuffer(found.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (CROP.size, CROP.size, 3)
    assert vidguard.Report.from_json(explained.to_json()) == explained
    opened = io.BytesIO(clip.path.read_bytes())
    opened.seek(0, io.SEEK_END)
    assert detector.explain(opened, report).explanations == explained.explanations


def test_members_add_up_to_the_frames_logit(
    detector: vidguard.Detector, clip: DemoClip, report: vidguard.Report
) -> None:
    found = detector.explain(clip.path, report).explanations[0]
    seen = next(o for o in report.tracks[0].observations if o.time == found.time)
    fused = sum(found.members.values()) + detector.judge.fusion.bias.item()
    # the shipped transformer passes frames through; landmarks in a report are rounded to a tenth of a pixel
    assert detector.passport.calibration.segment(fused) == pytest.approx(seen.fake_prob, abs=0.05)


def test_nothing_found_is_nothing_explained_and_other_weights_are_refused(
    detector: vidguard.Detector, clip: DemoClip, report: vidguard.Report
) -> None:
    from dataclasses import replace

    assert detector.explain(clip.path, replace(report, findings=())).explanations == ()
    other = replace(report, weights=replace(report.weights, sha256="0" * 64))
    with pytest.raises(vidguard.InputError, match="explain it with the same"):
        detector.explain(clip.path, other)
    with pytest.raises(vidguard.InputError, match="isn't what the report was made from"):
        detector.explain(clip.path.read_bytes() + b" ", report)
