"""More faces than are looked at: the rest is counted, and nothing is called genuine."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

import vidguard
from vidguard.config import AnalysisConfig, FaceConfig
from vidguard.demo import DemoClip
from vidguard.video import open_source, write_video


def crowd(clip: DemoClip) -> np.ndarray:
    """Six genuine faces, two rows of three."""
    with open_source(clip.path) as reader:
        face = reader.frames_at((1.0,)).frames[0].permute(1, 2, 0).numpy()
    small = np.asarray(Image.fromarray(face).resize((160, 160)))
    return np.tile(small, (2, 3, 1))


def few_at_once(detector: vidguard.Detector, most: int) -> vidguard.Detector:
    return vidguard.Detector(device=str(detector.device), config=AnalysisConfig(faces=FaceConfig(max_faces=most)))


def test_faces_that_are_too_many_are_counted(detector: vidguard.Detector, clip: DemoClip, tmp_path: Path) -> None:
    picture = crowd(clip)
    write_video(tmp_path / "crowd.mp4", ((picture, k / 8) for k in range(4)), frame_rate=8)
    still = io.BytesIO()
    Image.fromarray(picture).save(still, "PNG")
    some = few_at_once(detector, 4)
    for source in (still.getvalue(), tmp_path / "crowd.mp4"):
        whole, part = detector.analyze(source), some.analyze(source)
        assert whole.status is vidguard.Status.OK
        assert whole.coverage.num_faces_left_out == 0
        assert len(whole.tracks) == 6
        assert part.status is vidguard.Status.PARTIAL
        assert part.coverage.num_faces_left_out == 2
        assert "2 more face(s)" in part.explanation
        assert part.decision is not None
        assert part.decision.label != "genuine"


def test_a_report_from_before_faces_were_counted_still_reads(report: vidguard.Report) -> None:
    text = report.to_json()
    assert '"num_faces_left_out": 0' in text
    older = vidguard.Report.from_json(text.replace(',\n    "num_faces_left_out": 0', ""))
    assert older == report
