"""Answers from the sandbox, and answers that a limit or a dead decoder cut short."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

import vidguard
from vidguard.config import AnalysisConfig, Limits
from vidguard.demo import DemoClip
from vidguard.detector import detector as module
from vidguard.sandbox import Sandbox
from vidguard.types import Report, Status
from vidguard.video.isolated import open_sandboxed

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


def test_tracks_have_a_limit_too(detector: vidguard.Detector, clip: DemoClip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "config", AnalysisConfig(limits=replace(Limits(), max_tracks=0.5)))  # type: ignore[arg-type]
    assert "the analysis was ended after max_tracks=0.5" in detector.analyze(clip.path).engine.notes


def test_a_limit_passed_at_the_very_end_cuts_nothing(
    detector: vidguard.Detector, clip: DemoClip, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = replace(Limits(), max_frames=report.coverage.num_frames_decoded - 1)
    monkeypatch.setattr(detector, "config", AnalysisConfig(limits=limits))
    assert detector.analyze(clip.path).status is report.status
