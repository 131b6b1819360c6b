"""The hand-made reports live with the tests of render; the detector here answers from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import reports

import vidguard
from vidguard.cli.app import run
from vidguard.errors import SourceError, WeightsError


@pytest.fixture(scope="module")
def one_thread():
    """The networks are too small to gain from a second thread, and lose much by it on a busy machine."""
    import torch  # most commands' tests need none of it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class StandInDetector:
    """Answers by what is in the file: the commands are under test here, not the judgement."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, str | None]] = []
        self.sandboxes: list[object] = []

    def analyze(self, source, *, backend=None, progress=None, sandbox=None):
        self.calls.append((source, backend))
        self.sandboxes.append(sandbox)
        content = source.read_bytes() if isinstance(source, Path) else source.read()
        name = source.name if isinstance(source, Path) else "<file object>"
        progress(1.0, 20.0)
        if content == b"broken":
            raise SourceError(f"no video stream in {name} (streams: audio aac); pass a file with a video track")
        if content == b"defect":
            raise RuntimeError("tensor trouble")
        if content == b"interrupt":
            raise KeyboardInterrupt
        if content == b"no face":
            return reports.no_face()
        if content in (b"partly no face", b"partly real", b"partly fake"):
            whole = (
                reports.no_face() if content.endswith(b"face") else reports.two_faces(flagged=content.endswith(b"fake"))
            )
            return replace(whole, coverage=replace(whole.coverage, complete=False))
        return reports.two_faces(name=name, flagged=content == b"fake")


class Command:
    """Runs the command in this process; says what it printed and how it ended."""

    def __init__(self, capsys, monkeypatch) -> None:
        self.capsys = capsys
        self.detector = StandInDetector()
        self.loaded: list[tuple] = []

        def load(name=None, *, device=None, config=None):
            if name == "nonesuch":
                raise WeightsError("no weights named 'nonesuch'; installed: base-v1")
            if name == "defect":
                raise RuntimeError("loading trouble")
            self.loaded.append((name, device, config))
            return self.detector

        # Into the dictionary, not by setattr: that would first ask the package for its own, torch and all.
        monkeypatch.setitem(vars(vidguard), "load", load)

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        code = run([str(a) for a in arguments])
        captured = self.capsys.readouterr()
        return code, captured.out, captured.err


@pytest.fixture
def command(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    return Command(capsys, monkeypatch)


@pytest.fixture
def folder(tmp_path):
    """Sources in two folders with names that would collide if flattened."""
    for name, content in (
        ("a/clip.mp4", b"real"),
        ("b/clip.mp4", b"fake"),
        ("b/clip.mov", b"real"),
        ("b/notes.txt", b"text"),
        ("b/._clip.mp4", b"resource fork"),
    ):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "in"
