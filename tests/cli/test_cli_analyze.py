import io
import json
import os
import sys
from types import SimpleNamespace

import pytest

from vidguard.sandbox import Sandbox
from vidguard.types import Report


def make(tmp_path, content: bytes, name: str = "clip.mp4"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def one_line(err: str) -> str:
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("vidguard: ")
    return lines[0]


@pytest.mark.parametrize(
    ("content", "code"), [(b"real", 0), (b"no face", 0), (b"fake", 1), (b"broken", 3), (b"defect", 3)]
)
def test_exit_code_says_what_was_found(command, tmp_path, content, code):
    assert command("analyze", make(tmp_path, content))[0] == code


@pytest.mark.parametrize(("content", "code"), [(b"partly no face", 3), (b"partly real", 3), (b"partly fake", 1)])
def test_an_answer_about_a_part_only_never_exits_with_0(command, tmp_path, content, code):
    found, _, err = command("analyze", make(tmp_path, content), "--quiet")
    assert found == code
    assert ("clip.mp4" in err) == (code == 3)


def test_a_folder_is_searched_by_content_and_what_is_passed_over_is_told(command, tmp_path):
    jpeg, mpeg = b"\xff\xd8\xff\xe0" + bytes(99), b"\0\0\1\xb3" + bytes(99)
    ogg, mp4 = b"OggS" + bytes(99), b"\0\0\0\x20ftypisom" + bytes(99)
    for name in ("photo.JFIF", "nothing_said", "wrong.txt", "photo.xyz"):
        make(tmp_path, jpeg, name)
    make(tmp_path, mpeg, "old.m2v")
    make(tmp_path, mp4, "clip")
    make(tmp_path, b"text", "talk.MP4")
    for name in ("notes.txt", "song.ogg", "a.pdf"):
        make(tmp_path, ogg if name == "song.ogg" else b"text", name)
    _, _, err = command("analyze", tmp_path)
    analysed = sorted(source.name for source, _ in command.detector.calls)
    assert analysed == ["clip", "nothing_said", "old.m2v", "photo.JFIF", "photo.xyz", "talk.MP4", "wrong.txt"]
    assert "passed over 3 file(s)" in err
    assert "a.pdf, notes.txt, song.ogg" in err


def test_limits_are_options(command, tmp_path):
    options = ("--max-pixels", "1000", "--max-still-pixels", "2000", "--max-seconds", "9", "--max-streams", "3")
    work = ("--max-frames", "7", "--max-tracks", "6", "--max-work-seconds", "0.5")
    command("analyze", make(tmp_path, b"real"), *options, *work, "--max-bytes", "5000")
    limits = command.loaded[0][2].limits
    assert (limits.max_pixels, limits.max_still_pixels, limits.max_seconds) == (1000, 2000, 9)
    assert (limits.max_streams, limits.max_bytes) == (3, 5000)
    assert (limits.max_frames, limits.max_tracks, limits.max_work_seconds) == (7, 6, 0.5)
    for name in ("--max-pixels", "--max-frames", "--max-tracks", "--max-work-seconds", "--max-stdin-seconds"):
        code, _, err = command("analyze", make(tmp_path, b"real"), name, "0")
        assert code == 2
        assert "must be positive" in one_line(err)
    assert command("analyze", make(tmp_path, b"real"), "--max-work-seconds", "nan")[0] == 2


@pytest.mark.parametrize(
    ("options", "code"),
    [((), 0), (("--max-stdin-bytes", "3"), 3), (("--max-stdin-bytes", "4"), 0), (("--max-bytes", "3"), 3)],
)
def test_how_much_of_standard_input_is_read_is_an_option(command, monkeypatch, options, code):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"real")))
    found, _, err = command("analyze", "-", *options)
    assert found == code
    if code:
        assert "standard input is longer than 3 bytes; raise --max-stdin-bytes" in err


def test_how_long_standard_input_is_waited_for_is_an_option(command, monkeypatch):
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as silent:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=silent))
        code, _, err = command("analyze", "-", "--max-stdin-seconds", "0.1")
    os.close(writing)
    assert code == 3
    assert "hasn't ended within 0.1 s; raise --max-stdin-seconds" in err


def test_table_goes_to_standard_output(command, tmp_path):
    _, out, err = command("analyze", make(tmp_path, b"fake"))
    assert "clip.mp4  Signs of manipulation  P(fake) 93%" in out
    assert "face 2" in out
    assert err == ""


def test_exit_zero_forgives_findings_but_not_failures(command, tmp_path):
    fake, broken = make(tmp_path, b"fake"), make(tmp_path, b"broken", "broken.mp4")
    assert command("analyze", "--exit-zero", fake)[0] == 0
    assert command("analyze", "--exit-zero", fake, broken)[0] == 3


def test_an_empty_name_is_not_the_current_folder(command, tmp_path, monkeypatch):
    make(tmp_path, b"fake", "b.mp4")
    monkeypatch.chdir(tmp_path)
    code, out, err = command("analyze", "")
    assert (code, out, err) == (3, "", "vidguard: a source's name is empty\n")


def test_failure_is_one_line_and_the_others_are_done(command, tmp_path):
    sources = [make(tmp_path, b"broken", "a.mp4"), make(tmp_path, b"fake", "b.mp4"), tmp_path / "missing.mp4"]
    code, out, err = command("analyze", *sources)
    assert code == 3
    assert "b.mp4  Signs of manipulation" in out
    assert "1 analysed, 1 flagged, 2 could not be analysed" in out
    missing, broken = err.splitlines()
    assert missing == f"vidguard: {tmp_path / 'missing.mp4'}: no such file"
    assert broken.startswith(f"vidguard: {tmp_path / 'a.mp4'}: no video stream in a.mp4 (streams: audio aac)")
    assert "Traceback" not in err


def test_defect_is_one_line_with_a_hint_and_a_traceback_on_demand(command, tmp_path):
    path = make(tmp_path, b"defect")
    line = one_line(command("analyze", path)[2])
    assert "RuntimeError: tensor trouble" in line
    assert "--debug" in line
    with pytest.raises(RuntimeError, match="tensor trouble"):
        command("--debug", "analyze", path)


def test_defect_in_one_source_leaves_the_others(command, tmp_path):
    sources = [make(tmp_path, b"defect", "a.mp4"), make(tmp_path, b"fake", "b.mp4")]
    code, out, err = command("analyze", *sources)
    assert code == 3
    assert one_line(err).startswith(f"vidguard: {sources[0]}: unexpected RuntimeError")
    assert "b.mp4  Signs of manipulation" in out
    assert "1 analysed, 1 flagged, 1 could not be analysed" in out


def test_defect_that_stops_everything_is_70(command, tmp_path):
    code, _, err = command("analyze", make(tmp_path, b"real"), "--weights", "defect")
    assert code == 70
    assert "loading trouble" in one_line(err)


def test_interrupt_is_130(command, tmp_path):
    assert command("analyze", make(tmp_path, b"interrupt"))[0] == 130


def test_json_and_html_of_one_source(command, tmp_path):
    code, _, _ = command(
        "analyze", make(tmp_path, b"fake"), "--json", tmp_path / "r.json", "--html", tmp_path / "r.html", "--quiet"
    )
    assert code == 1
    assert Report.from_json((tmp_path / "r.json").read_text()).fake_prob == 0.93
    assert "Signs of manipulation" in (tmp_path / "r.html").read_text()


def test_json_on_standard_output_is_nothing_but_json(command, tmp_path):
    _, out, err = command("analyze", make(tmp_path, b"fake"), "--json", "-")
    assert Report.from_json(out).source.name == "clip.mp4"
    assert "Signs of manipulation" in err


def test_several_reports_on_standard_output_are_json_lines(command, folder):
    _, out, _ = command("analyze", folder, "--json", "-", "--quiet")
    assert [json.loads(line)["source"]["name"] for line in out.splitlines()] == ["clip.mp4", "clip.mov", "clip.mp4"]


def test_folder_outputs_mirror_the_sources(command, folder, tmp_path):
    target = tmp_path / "reports"
    code, _, err = command("analyze", folder, "--json", target, "--html", target, "--quiet")
    assert (code, err) == (1, "")
    written = sorted(str(p.relative_to(target)) for p in target.rglob("*") if p.is_file())
    names = ["a/clip.mp4", "b/clip.mov", "b/clip.mp4"]
    assert written == sorted(os.path.normpath(n + s) for n in names for s in (".html", ".json"))
    assert Report.from_json((target / "b" / "clip.mp4.json").read_text()).fake_prob == 0.93
    assert Report.from_json((target / "a" / "clip.mp4.json").read_text()).fake_prob == 0.31


def test_glob_and_repeats(command, folder):
    command("analyze", folder / "*" / "*.mp4", folder / "a" / "clip.mp4", "--quiet")
    analysed = [source.relative_to(folder).as_posix() for source, _ in command.detector.calls]
    assert analysed == ["a/clip.mp4", "b/clip.mp4"]


@pytest.mark.parametrize("argument", ["nothing/*.mp4", "missing.mp4"])
def test_nothing_found_is_a_failure_without_loading_weights(command, argument):
    code, _, err = command("analyze", argument)
    assert code == 3
    assert argument in one_line(err)
    assert not command.loaded


def test_folder_without_media_says_so(command, tmp_path):
    code, _, err = command("analyze", tmp_path)
    assert code == 3
    assert "no video or image" in one_line(err)


def test_file_with_brackets_is_a_file_not_a_glob(command, tmp_path):
    assert command("analyze", make(tmp_path, b"real", "clip [1].mp4"), "--json", tmp_path / "r.json")[0] == 0
    assert (tmp_path / "r.json").is_file()


def test_standard_input(command, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"fake")))
    code, out, _ = command("analyze", "-", "--json", "-", "--quiet")
    assert code == 1
    assert Report.from_json(out).fake_prob == 0.93


def test_options_reach_the_detector(command, tmp_path):
    options = (
        "--weights",
        "base-v1",
        "--device",
        "cpu",
        "--backend",
        "decord",
        "--fps",
        "4",
        "--segment-seconds",
        "0.5",
        "--error-rate",
        "0.01",
    )
    command("analyze", make(tmp_path, b"real"), *options)
    ((name, device, config),) = command.loaded
    assert (name, device, config.frames_per_second, config.segment_seconds) == ("base-v1", "cpu", 4.0, 0.5)
    assert config.error_rate == 0.01
    assert command.detector.calls[0][1] == "decord"


@pytest.mark.parametrize(
    "options",
    [
        ("--fps", "0"),
        ("--fps", "many"),
        ("--error-rate", "1"),
        ("--weights", "nonesuch"),
        ("--backend", "nonesuch"),
        ("--nonesuch",),
        ("--json", "no/such/folder/r.json"),
        ("--html", "."),
        ("-",),
    ],
)
def test_wrong_usage_is_2_before_anything_is_analysed(command, tmp_path, options):
    code, _, err = command("analyze", make(tmp_path, b"real"), *options)
    assert code == 2
    assert "Traceback" not in err
    assert not command.detector.calls


def test_sources_are_decoded_in_a_sandbox_unless_told_not_to(command, tmp_path):
    clip = make(tmp_path, b"real")
    assert command("analyze", clip)[0] == 0
    assert command("analyze", clip, "--no-sandbox")[0] == 0
    assert [type(sandbox) for sandbox in command.detector.sandboxes] == [Sandbox, type(None)]
    code, _, err = command("analyze", clip, "--backend", "pyav-nvdec")
    assert code == 2
    assert "--no-sandbox" in err


def test_an_unknown_backend_is_refused_before_weights_are_loaded(command, tmp_path):
    code, _, err = command("analyze", make(tmp_path, b"real"), "--backend", "nonesuch")
    assert code == 2
    assert "pyav-nvdec" in err
    assert not command.loaded


def test_two_outputs_to_one_file_are_refused_before_anything_is_analysed(command, tmp_path):
    path, page = make(tmp_path, b"fake"), tmp_path / "page"
    code, _, err = command("analyze", path, "--json", page, "--html", tmp_path / "." / "page")
    assert code == 2
    assert "--json writes to already" in " ".join(err.split())
    assert not page.exists()


def test_a_source_is_never_overwritten(command, tmp_path):
    path = make(tmp_path, b"real")
    assert command("analyze", path, "--overlay", path)[0] == 2
    assert path.read_bytes() == b"real"


def test_output_that_cant_be_written_is_one_line(command, folder, tmp_path):
    target = tmp_path / "reports"
    (target / "a").mkdir(parents=True)
    (target / "a" / "clip.mp4.json").mkdir()
    code, _, err = command("analyze", folder, "--json", target, "--quiet")
    assert code == 3
    assert "clip.mp4.json" in one_line(err)
    assert (target / "b" / "clip.mp4.json").is_file()


def test_hostile_name_cant_reach_the_terminal(command, tmp_path):
    _, out, err = command("analyze", make(tmp_path, b"broken", "a\x1b[31m\nvidguard: fine.mp4"))
    assert "\x1b" not in out + err
    one_line(err)
