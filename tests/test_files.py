"""Outputs: whole or not at all, never through a link, never over anything but a file, and nothing is left behind."""

import os
import socket
import stat
from pathlib import Path

import numpy as np
import pytest
from disk import full_disk

from vidguard.errors import OutputError
from vidguard.files import MAX_NAME_BYTES, fitting_name, make_folders, whole_file, write_whole
from vidguard.video import write_picture, write_video

PICTURES = [(np.random.default_rng(i).integers(0, 255, (64, 64, 3)).astype(np.uint8), i / 25) for i in range(20)]


def by_bytes(path):
    write_whole(path, b"new" * 50_000)


def by_video(path):
    write_video(path, PICTURES)


def by_picture(path):
    write_picture(path.with_suffix(".png"), PICTURES[0][0])


WAYS = pytest.mark.parametrize("write", [by_bytes, by_video, by_picture])
TARGET = "out.png"  # a name that all of them take


def left_in(folder):
    return sorted(p.name for p in folder.iterdir())


@WAYS
def test_a_new_file_has_the_permissions_that_the_user_wants(tmp_path, write):
    before = os.umask(0o027)
    try:
        write(tmp_path / TARGET)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / TARGET).stat().st_mode) == 0o640
    assert left_in(tmp_path) == [TARGET]


@WAYS
def test_a_replaced_file_keeps_its_permissions(tmp_path, write):
    target = tmp_path / TARGET
    target.write_bytes(b"old")
    target.chmod(0o604)
    write(target)
    assert target.read_bytes() != b"old"
    assert stat.S_IMODE(target.stat().st_mode) == 0o604


@WAYS
def test_a_link_is_neither_followed_nor_lost(tmp_path, write):
    kept = tmp_path / "kept"
    kept.write_bytes(b"mine")
    (tmp_path / TARGET).symlink_to(kept)
    with pytest.raises(OutputError, match=r"out\.png is a symbolic link"):
        write(tmp_path / TARGET)
    assert kept.read_bytes() == b"mine"
    assert left_in(tmp_path) == ["kept", TARGET]
    assert (tmp_path / TARGET).is_symlink()


@WAYS
def test_a_dangling_link_makes_no_file_elsewhere(tmp_path, write):
    (tmp_path / TARGET).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="symbolic link"):
        write(tmp_path / TARGET)
    assert left_in(tmp_path) == [TARGET]


@WAYS
@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: os.mkfifo(path), "is a device, pipe or socket"),
        (lambda path: socket.socket(socket.AF_UNIX).bind(os.path.relpath(path)), "is a device, pipe or socket"),
    ],
    ids=["folder", "fifo", "socket"],
)
def test_what_isnt_a_file_is_refused_and_stays(tmp_path, monkeypatch, write, make, what):
    monkeypatch.chdir(tmp_path)
    target = tmp_path / TARGET
    make(target)
    kind = stat.S_IFMT(target.lstat().st_mode)
    with pytest.raises(OutputError, match=what):
        write(target)
    assert stat.S_IFMT(target.lstat().st_mode) == kind
    assert left_in(tmp_path) == [TARGET]


def test_a_device_is_refused():
    with pytest.raises(OutputError, match="/dev/null is a device"):
        write_whole("/dev/null", b"")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@WAYS
def test_planted_names_are_no_ones_temporary_file(tmp_path, write):
    """What lies there under the target's name with an ending is the user's own, or a trap."""
    (tmp_path / f"{TARGET}.partial").write_bytes(b"mine")
    (tmp_path / f".{TARGET}.partial").symlink_to(tmp_path / "victim")
    write(tmp_path / TARGET)
    assert (tmp_path / f"{TARGET}.partial").read_bytes() == b"mine"
    assert not (tmp_path / "victim").exists()
    assert len(left_in(tmp_path)) == 3


def test_what_came_there_meanwhile_isnt_replaced(tmp_path):
    target = tmp_path / TARGET

    def meanwhile():
        with whole_file(target):
            target.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OutputError, match="symbolic link"):
        meanwhile()
    assert left_in(tmp_path) == [TARGET]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError("of a source")])
def test_a_failure_on_the_way_leaves_the_old_file(tmp_path, error):
    (tmp_path / TARGET).write_bytes(b"old")

    def broken_off():
        with whole_file(tmp_path / TARGET) as file:
            file.write(b"new")
            raise error

    with pytest.raises((KeyboardInterrupt, ValueError, OSError)):
        broken_off()
    assert (tmp_path / TARGET).read_bytes() == b"old"
    assert left_in(tmp_path) == [TARGET]


@WAYS
def test_a_full_disk_is_told_with_the_path_and_leaves_nothing(tmp_path, write):
    (tmp_path / TARGET).write_bytes(b"old")
    with full_disk(4096), pytest.raises(OutputError) as told:
        write(tmp_path / TARGET)
    assert (
        str(told.value)
        == f"{tmp_path / TARGET} can't be written: File too large; free some space there or give another path"
    )
    assert (tmp_path / TARGET).read_bytes() == b"old"
    assert left_in(tmp_path) == [TARGET]


@WAYS
def test_a_folder_that_isnt_there_is_told_with_the_path(tmp_path, write):
    with pytest.raises(OutputError, match=r"nowhere/out\.png can't be written: No such file"):
        write(tmp_path / "nowhere" / TARGET)


@pytest.mark.parametrize("name", ["tcp:127.0.0.1:9", "file:clip.mp4", "pipe:1", "-", "%03d.mp4", "https:x"])
def test_a_video_named_like_an_address_is_a_plain_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_video(Path(name), PICTURES)
    assert left_in(tmp_path) == [name]
    assert b"moov" in (tmp_path / name).read_bytes()[:64], "the index comes first"


@pytest.mark.parametrize("name", ["a.mp4", "x" * 251 + ".mp4", "ü" * 124 + ".mp4", "caf\udce9" * 60])
def test_every_name_gets_an_output_of_its_own(tmp_path, name):
    fitted = fitting_name(name, ".overlay.mp4")
    assert len(os.fsencode(fitted)) <= MAX_NAME_BYTES
    assert fitted.endswith(".overlay.mp4")
    assert fitted != fitting_name(name[:-1] + "5", ".overlay.mp4")
    write_whole(tmp_path / fitted, b"")


def test_folders_are_made_but_never_through_a_link(tmp_path):
    make_folders(tmp_path / "out", Path("a/b/clip.mp4"))
    assert (tmp_path / "out" / "a" / "b").is_dir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "c").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="symbolic link"):
        make_folders(tmp_path / "out", Path("c/d/clip.mp4"))
    assert left_in(tmp_path / "elsewhere") == []
