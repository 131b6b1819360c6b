"""Answers from the sandbox, and answers that a limit or a dead decoder cut short."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import vidguard
from vidguard.config import AnalysisConfig, FaceConfig, Limits
from vidguard.demo import DemoClip
from vidguard.detector import detector as module
from vidguard.detector.triage import Outcome
from vidguard.sandbox import Sandbox
from vidguard.types import Report, Status
from vidguard.video import open_source, write_video
from vidguard.video.isolated import open_sandboxed

SEEN = "not all of the source was seen: "
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="there is no sandbox elsewhere")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as one:
        yield one


@needs_linux
def test_the_sandbox_changes_nothing_in_an_answer(
    sandbox: Sandbox, detector: vidguard.Detector, clip: DemoClip, report: Report
) -> None:
    given = detector.analyze(clip.path, sandbox=sandbox)
    assert given.engine.notes == (*report.engine.notes, sandbox.note)
    assert "decoded in a child process: seccomp, landlock, memory limit 6 GiB" in given.engine.notes
    assert replace(given, engine=report.engine) == report
    assert detector.explain(clip.path, given, sandbox=sandbox).explanations == (
        detector.explain(clip.path, report).explanations
    )


@needs_linux
def test_triage_in_the_sandbox_is_the_same(sandbox: Sandbox, detector: vidguard.Detector, clip: DemoClip) -> None:
    given, expected = detector.triage(clip.path, sandbox=sandbox), detector.triage(clip.path)
    assert given == replace(expected, notes=(*expected.notes, sandbox.note))


@needs_linux
def test_what_was_read_before_the_decoder_died_is_judged(
    sandbox: Sandbox, detector: vidguard.Detector, clip: DemoClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(source, *, device, backend, limits, sandbox):
        return open_sandboxed("dying_decoder:open_dying", source, sandbox, limits, device, backend=backend)

    monkeypatch.setattr(module, "open_source", dying)
    answer = detector.analyze(clip.path, sandbox=sandbox)
    assert answer.status is Status.PARTIAL
    assert answer.coverage.num_frames_analysed == 24
    assert any("SIGSEGV" in note and "24 frames had been given before" in note for note in answer.engine.notes)


@pytest.mark.parametrize("limit", [{"max_frames": 30}, {"max_work_seconds": 1e-3}])
def test_an_analysis_ends_at_its_limits(
    detector: vidguard.Detector, clip: DemoClip, limit: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    ((name, value),) = limit.items()
    monkeypatch.setattr(detector, "config", AnalysisConfig(limits=replace(Limits(), **limit)))
    answer = detector.analyze(clip.path)
    why = f"the analysis was ended after {name}={value:g}"
    assert why in answer.explanation
    assert why in answer.engine.notes
    assert answer.status in (Status.PARTIAL, Status.TOO_SHORT)
    assert 0 < answer.coverage.num_frames_analysed < 32


def test_a_video_cut_to_one_frame_says_so(
    detector: vidguard.Detector, clip: DemoClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_by_one(*source, **options):
        reader = open_source(*source, **options)
        monkeypatch.setattr(reader, "batches", partial(reader.batches, batch_size=1))
        return reader

    monkeypatch.setattr(module, "open_source", one_by_one)
    monkeypatch.setattr(detector, "config", AnalysisConfig(limits=Limits(max_work_seconds=1e-3)))
    answer = detector.analyze(clip.path)
    assert answer.coverage.num_frames_analysed == 1
    with open_source(clip.path) as reader:
        first, second = next(reader.batches(frames_per_second=8, batch_size=2)).pts_seconds
    assert answer.coverage.seconds == pytest.approx(second - first), "what is shown from then on wasn't looked at"
    assert answer.status is Status.PARTIAL
    assert not answer.coverage.complete
    why = "the analysis was ended after max_work_seconds=0.001"
    assert f"one frame of a video: judged alone, as a still is; there is no temporal part; {SEEN}{why}" in (
        answer.explanation
    )
    assert why in answer.engine.notes


def test_a_crowd_in_a_damaged_source_is_told_beside_the_damage(clip: DemoClip, tmp_path: Path) -> None:
    config = AnalysisConfig(limits=Limits(max_frames=30), faces=FaceConfig(max_faces=1))
    picture = np.tile(_frame(clip), (1, 2, 1))
    path = tmp_path / "clip.mp4"
    write_video(path, ((picture, k / 8) for k in range(40)), frame_rate=8)
    answer = vidguard.Detector(device="cpu", config=config).analyze(path)
    reasons = ("the analysis was ended after max_frames=30", "1 more face(s) at once weren't looked at, being too many")
    assert answer.engine.notes[-2:] == reasons
    assert answer.explanation.endswith(f"{SEEN}{reasons[0]} (the notes have 1 more reason(s))")


@pytest.mark.parametrize("limit", [{"max_frames": 1}, {"max_work_seconds": 1e-3}])
def test_a_look_that_a_limit_ended_clears_nothing(
    detector: vidguard.Detector, limit: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.mp4"
    nothing = np.full((64, 64, 3), 90, np.uint8)
    write_video(path, ((nothing, k / 8) for k in range(800)), frame_rate=8)
    assert detector.triage(path).outcome is Outcome.NO_FACE
    monkeypatch.setattr(detector, "config", AnalysisConfig(limits=replace(Limits(), **limit)))
    answer = detector.triage(path)
    ((name, value),) = limit.items()
    assert answer.outcome is Outcome.CHECK
    assert answer.why.endswith(f"the analysis was ended after {name}={value:g}")
    assert answer.notes[-1] in answer.why


def test_tracks_have_a_limit_too(detector: vidguard.Detector, clip: DemoClip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "config", AnalysisConfig(limits=replace(Limits(), max_tracks=0.5)))  # type: ignore[arg-type]
    assert "the analysis was ended after max_tracks=0.5" in detector.analyze(clip.path).engine.notes


def test_a_limit_passed_at_the_very_end_cuts_nothing(
    detector: vidguard.Detector, clip: DemoClip, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = replace(Limits(), max_frames=report.coverage.num_frames_decoded - 1)
    monkeypatch.setattr(detector, "config", AnalysisConfig(limits=limits))
    assert detector.analyze(clip.path).status is report.status


def _frame(clip: DemoClip) -> np.ndarray:
    with open_source(clip.path) as reader:
        return reader.frames_at((1.0,)).frames[0].permute(1, 2, 0).numpy()
