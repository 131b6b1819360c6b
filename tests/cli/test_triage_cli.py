"""`vidguard triage`: lines, JSON and exit codes; a stand-in answers by what is in the file."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from vidguard.detector.triage import Outcome, Triage, TriageFace
from vidguard.errors import SourceError
from vidguard.types import SourceInfo
from vidguard.weights import TriagePlan, TriagePoint, find_weights, read_passport


@pytest.fixture
def triage(command):
    """The command, whose detector has the points 0.01 and 0.02 of fakes."""

    def look(path, *, misses, of, sandbox=None):
        content = path.read_bytes()
        if content == b"broken":
            raise SourceError("no video stream in it")
        logit = {b"real": -4.0, b"fake": 2.0}.get(content)
        faces = () if logit is None else (TriageFace(0.0, (0.0, 0.0, 9.0, 9.0), logit),)
        outcome = Outcome.NO_FACE if logit is None else Outcome.CLEARED if logit < -3 else Outcome.CHECK
        info = SourceInfo("video", path.name)
        return Triage(outcome, "a reason", logit, -3.0, misses, of, None, (0.0,), faces, info, "base-v1", "")

    points = tuple(TriagePoint(misses, "fakes", None, -3.0) for misses in (0.01, 0.02))
    command.detector.passport = replace(read_passport(find_weights()), triage=TriagePlan(8, points, "a test"))
    command.detector.triage = look
    return lambda *arguments: command("triage", *arguments)


@pytest.fixture
def upload(tmp_path):
    def write(content: bytes):
        path = tmp_path / f"{content.decode()}.mp4"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize(
    ("contents", "code"),
    [
        ((b"real",), 0),
        ((b"scenery",), 0),
        ((b"real", b"fake"), 1),
        ((b"broken", b"fake"), 3),
    ],
)
def test_the_exit_code_says_whether_anything_is_left_to_analyse(triage, upload, contents, code):
    assert triage(*map(upload, contents))[0] == code


def test_each_source_has_a_line_and_each_failure_another(triage, upload, tmp_path):
    paths = [upload(content) for content in (b"real", b"fake", b"scenery", b"broken")]
    code, out, err = triage(*paths, tmp_path / "gone.mp4")
    assert code == 3
    assert [line.split()[0] for line in out.splitlines()] == ["cleared", "check", "no_face"]
    assert f"{paths[0]}: a reason" in out.splitlines()[0]
    assert "no such file" in err
    assert f"{paths[3]}: no video stream in it" in err


def test_json_is_a_line_a_source_and_reads_back(triage, upload):
    code, out, _ = triage(upload(b"real"), upload(b"fake"), "--json", "--misses", "0.02")
    answers = [Triage.from_json(line) for line in out.splitlines()]
    assert (code, [a.outcome for a in answers]) == (1, [Outcome.CLEARED, Outcome.CHECK])
    assert {a.misses for a in answers} == {0.02}
    assert json.loads(out.splitlines()[0])["outcome"] == "cleared"


def test_what_cannot_be_done_as_given_exits_2_before_any_file_is_read(triage, upload, command):
    command.detector.triage = None
    path = upload(b"real")
    code, out, err = triage(path, "--misses", "0.3")
    assert (code, out) == (2, "")
    assert "0.3 of fakes; it has 0.01 of fakes, 0.02 of fakes" in err
    assert triage(path, "--of", "everything")[0] == 2
    command.detector.passport = replace(command.detector.passport, triage=None)
    code, _, err = triage(path)
    assert code == 2
    assert "fit one with" in err


@pytest.mark.parametrize("error", [RuntimeError("tensor trouble"), OSError(5, "Input/output error"), MemoryError()])
def test_a_defect_in_one_source_leaves_the_others(triage, upload, command, error):
    look = command.detector.triage

    def failing(path, **options):
        if path.name == "broken.mp4":
            raise error
        return look(path, **options)

    command.detector.triage = failing
    paths = [upload(content) for content in (b"real", b"broken", b"fake")]
    code, out, err = triage(*paths)
    assert code == 3
    assert [line.split()[0] for line in out.splitlines()] == ["cleared", "check"]
    (line,) = err.splitlines()
    assert line.startswith(f"vidguard: {paths[1]}: unexpected {type(error).__name__}")
    with pytest.raises(type(error)):
        command("--debug", "triage", *paths)


def test_no_hostile_name_comes_out_raw(triage, tmp_path):
    path = tmp_path / "a\x1b[31m\u202e.mp4"
    path.write_bytes(b"real")
    _, out, _ = triage(path)
    assert r"a\x1b[31m\u202e.mp4: a reason" in out
    _, out, _ = triage(path, "--json")
    assert out.strip().isprintable()
    assert Triage.from_json(out).source.name == path.name


def test_limits_are_options(triage, upload, command):
    options = ("--max-pixels", "1000", "--max-streams", "3", "--max-frames", "7", "--max-work-seconds", "0.5")
    triage(upload(b"real"), *options)
    limits = command.loaded[0][2].limits
    assert (limits.max_pixels, limits.max_streams) == (1000, 3)
    assert (limits.max_frames, limits.max_work_seconds) == (7, 0.5)
    assert triage(upload(b"real"), "--max-frames", "0")[0] == 2
