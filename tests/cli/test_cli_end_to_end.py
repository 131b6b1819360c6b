"""The real command with the shipped weights: from a clip whose truth is known to exit code, reports and messages."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import pytest

from vidguard.cli.app import run
from vidguard.types import Report, Status

pytestmark = pytest.mark.usefixtures("one_thread")


@dataclass
class Ended:
    code: int
    out: str
    err: str


def vidguard(*arguments: object) -> Ended:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(a) for a in arguments])
    return Ended(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> tuple[Path, Ended]:
    folder = tmp_path_factory.mktemp("run") / "new" / "demo"
    return folder, vidguard("demo", "--out", folder, "--device", "cpu")


def test_demo_writes_a_clip_and_two_reports(demo):
    folder, ended = demo
    assert (ended.code, ended.err) == (0, "")
    assert "of 9 right" in ended.out
    assert sorted(path.name for path in folder.iterdir()) == ["clip.mp4", "report.html", "report.json"]
    report = Report.from_json((folder / "report.json").read_text())
    assert report.status is Status.OK
    assert report.coverage.seconds_judged == pytest.approx(9)
    html = (folder / "report.html").read_text()
    assert html.startswith("<!doctype html>")
    assert "clip.mp4" in html


def test_a_clip_a_text_and_an_empty_file_in_one_run(demo, tmp_path):
    text, empty = tmp_path / "notes.mp4", tmp_path / "empty.mp4"
    text.write_text("This is no video.\n" * 100)
    empty.write_bytes(b"")
    ended = vidguard("analyze", text, demo[0] / "clip.mp4", empty, "--json", "-", "--device", "cpu", "--fps", "2")
    assert ended.code == 3
    (line,) = ended.out.splitlines()
    assert Report.from_json(line).source.name == "clip.mp4"
    complaints = [line for line in ended.err.splitlines() if line.startswith("vidguard: ")]
    assert [complaint.split(": ")[1] for complaint in complaints] == [str(text), str(empty)]
    assert "1 analysed" in ended.err
    assert "2 could not be analysed" in ended.err
    assert "Traceback" not in ended.err


def test_json_on_standard_output_is_one_report(demo):
    ended = vidguard("analyze", demo[0] / "clip.mp4", "--json", "-", "--quiet", "--device", "cpu", "--fps", "2")
    report = Report.from_json(ended.out)
    assert ended.err == ""
    assert ended.code == (report.fake_prob is not None and report.fake_prob >= report.weights.threshold)
    assert report.coverage.num_frames_analysed == 18


def test_faces_in_the_same_clip_are_followed_at_one_frame_a_second(demo):
    ended = vidguard("analyze", demo[0] / "clip.mp4", "--json", "-", "--quiet", "--device", "cpu", "--fps", "1")
    report = Report.from_json(ended.out)
    assert len(report.tracks) == 1
    assert report.coverage.seconds_with_face == pytest.approx(report.coverage.seconds)


def test_reasons_are_given_where_they_are_asked_for(demo, tmp_path):
    page = tmp_path / "page.html"
    ended = vidguard("analyze", demo[0] / "clip.mp4", "--explain", "--html", page, "--json", "-", "--quiet")
    report = Report.from_json(ended.out)
    assert len(report.explanations) == min(len(report.findings), 8) >= 1
    assert page.read_text().count('class="reasons"') == len(report.explanations)
