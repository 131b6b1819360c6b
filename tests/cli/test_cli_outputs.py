"""Outputs of a run never cost a source, and are no sources of the next; hostile names come out visible."""

import json
import os

import numpy as np
import pytest

from vidguard.cli.outputs import SameFiles
from vidguard.types import Report
from vidguard.video import write_picture, write_video

BLACK = np.zeros((32, 32, 3), np.uint8)


def make(path, content=b"real"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def flat(text):
    return " ".join(text.split())


@pytest.mark.parametrize("option", ["--json", "--html", "--overlay"])
@pytest.mark.parametrize(
    "spell",
    [
        lambda source, folder: source,
        lambda source, folder: folder / "." / "x" / ".." / source.name,
        lambda source, folder: os.path.relpath(source),
        lambda source, folder: (folder / "soft").symlink_to(source) or folder / "soft",
        lambda source, folder: os.link(source, folder / "hard") or folder / "hard",
        lambda source, folder: (folder / "there").symlink_to(folder) or folder / "there" / source.name,
    ],
    ids=["same", "dots", "relative", "link", "hard link", "folder by link"],
)
def test_the_source_itself_is_no_output(command, tmp_path, option, spell):
    source = make(tmp_path / "clip.mp4")
    (tmp_path / "x").mkdir()
    code, _, err = command("analyze", source, option, spell(source, tmp_path))
    assert code == 2
    assert "is the source itself" in flat(err)
    assert source.read_bytes() == b"real"
    assert not command.loaded


def test_files_are_the_same_in_another_case_where_the_system_says_so(tmp_path):
    source = make(tmp_path / "clip.mp4")
    known = SameFiles([source])
    assert source in known
    assert ((tmp_path / "CLIP.MP4") in known) == (tmp_path / "CLIP.MP4").exists()
    assert tmp_path / "other.mp4" not in known


@pytest.mark.parametrize(
    ("make_target", "why"),
    [
        (lambda path: os.mkfifo(path), "is a device, pipe or socket"),
        (lambda path: path.symlink_to(path.parent / "elsewhere"), "is a symbolic link"),
        (lambda path: path.mkdir(), "is a folder"),
    ],
    ids=["fifo", "link", "folder"],
)
@pytest.mark.parametrize("option", ["--json", "--html", "--overlay"])
def test_what_is_no_file_is_refused_before_weights_are_loaded(command, tmp_path, option, make_target, why):
    target = tmp_path / "target"
    make_target(target)
    code, _, err = command("analyze", make(tmp_path / "clip.mp4"), option, target)
    assert code == 2
    assert why in flat(err)
    assert not command.loaded
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4", "target"]


@pytest.mark.parametrize("device", ["/dev/null", "/dev/stdout", "/dev/full"])
def test_json_to_a_device_is_refused_with_the_way_to_print_it(command, tmp_path, device):
    code, _, err = command("analyze", make(tmp_path / "clip.mp4"), "--json", device)
    assert code == 2
    assert "--json - prints the report" in flat(err)


def test_a_source_that_lies_where_an_output_would_go_is_kept_and_told(command, tmp_path):
    """Names of uploads are chosen by strangers; the others are analysed."""
    folder = tmp_path / "in"
    sources = [make(folder / name) for name in ("a.mp4", "a.mp4.json", "b.mp4")]
    code, _, err = command("analyze", *sources, "--json", folder, "--quiet")
    assert code == 3
    (line,) = err.splitlines()
    assert "a.mp4.json is a source and would be lost" in line
    assert sources[1].read_bytes() == b"real"
    assert (folder / "b.mp4.json").is_file()
    assert (folder / "a.mp4.json.json").is_file()
    assert [source.name for source, _ in command.detector.calls] == ["a.mp4.json", "b.mp4"]


def test_overlay_over_a_source_of_a_folder_is_refused(command, tmp_path):
    folder = tmp_path / "in"
    make(folder / "a.mp4")
    other = make(folder / "a.mp4.overlay.mp4", b"no mark: a source like any other")
    code, _, err = command("analyze", folder, "--overlay", folder, "--quiet")
    assert code == 3
    assert "a.mp4.overlay.mp4 is a source and would be lost" in err
    assert other.read_bytes().startswith(b"no mark")


def test_reports_beside_their_sources_dont_follow_links(command, tmp_path):
    folder = tmp_path / "in"
    make(folder / "a.mp4")
    make(folder / "b.mp4")
    kept = make(tmp_path / "mine", b"mine")
    (folder / "a.mp4.json").symlink_to(kept)
    code, _, err = command("analyze", folder, "--json", folder, "--quiet")
    assert code == 3
    assert "symbolic link" in err
    assert kept.read_bytes() == b"mine"
    assert (folder / "b.mp4.json").is_file()


def test_folders_of_outputs_that_are_links_are_not_entered(command, tmp_path):
    make(tmp_path / "in" / "sub" / "a.mp4")
    make(tmp_path / "in" / "b.mp4")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "elsewhere")
    code, _, err = command("analyze", tmp_path / "in", "--json", tmp_path / "out", "--quiet")
    assert code == 3
    assert "symbolic link" in err
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert (tmp_path / "out" / "b.mp4.json").is_file()


def own_overlays(folder):
    folder.mkdir(exist_ok=True)
    write_video(folder / "a.mp4.overlay.mp4", [(BLACK, 0.0), (BLACK, 0.1)], is_overlay=True)
    write_picture(folder / "p.png.overlay.png", BLACK, is_overlay=True)


@pytest.mark.parametrize("verb", ["analyze", "forge"])
def test_overlays_of_an_earlier_run_are_passed_over_and_counted(command, tmp_path, verb):
    folder = tmp_path / "in"
    own_overlays(folder)
    if verb == "forge":
        code, _, err = command("forge", folder, "--out", tmp_path / "out")
        assert code == 3, "nothing is left"
    else:
        make(folder / "a.mp4")
        make(folder / "trip.overlay.mp4", b"real")
        code, _, err = command("analyze", folder, "--quiet")
        assert code == 0
        assert [source.name for source, _ in command.detector.calls] == ["a.mp4", "trip.overlay.mp4"]
    assert "passed over 2 that say they are overlays of vidguard, a.mp4.overlay.mp4 first" in err


def test_an_overlay_that_is_named_itself_is_analysed(command, tmp_path):
    own_overlays(tmp_path)
    command("analyze", tmp_path / "a.mp4.overlay.mp4", "--quiet")
    assert [source.name for source, _ in command.detector.calls] == ["a.mp4.overlay.mp4"]


@pytest.mark.parametrize("name", ["n" * 251 + ".mp4", "ü" * 125 + ".mp4"])
def test_long_names_get_outputs_of_their_own(command, tmp_path, name):
    sources = [make(tmp_path / "in" / name), make(tmp_path / "in" / name.replace(name[0], "m", 1))]
    code, _, err = command("analyze", *sources, "--json", tmp_path / "out", "--html", tmp_path / "out", "--quiet")
    assert (code, err) == (0, "")
    written = list((tmp_path / "out").iterdir())
    assert len(written) == 4
    assert {p.suffix for p in written} == {".json", ".html"}


HOSTILE = ["a\x1b[31m.mp4", "gnp.\u202egpj.mp4", "two\nlines.mp4", "bell\x07\x9b.mp4", "zero\u200bwidth\u2066.mp4"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("content", [b"fake", b"broken", b"defect"])
def test_no_hostile_name_comes_out_raw(command, tmp_path, name, content):
    source = make(tmp_path / name, content)
    targets = ("--json", tmp_path / "r.json", "--html", tmp_path / "r.html")
    shown = command("analyze", source, *targets)[1:] + command("analyze", source, "--json", "-")[1:]
    if content == b"fake":
        shown = (*shown, *(target.read_text() for target in targets[1::2]))
        assert Report.from_json(targets[1].read_text()).source.name == name, "the JSON means the name itself"
        assert f"<title>Signs of manipulation · {visible(name)} · vidguard</title>" in targets[3].read_text()
    for text in shown:
        assert not [c for c in text if not c.isprintable() and c != "\n"]
        assert name not in text
    assert any(visible(name) in text for text in shown)


def visible(name):
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] if ord(c) > 255 else repr(c)[1:-1] for c in name)
