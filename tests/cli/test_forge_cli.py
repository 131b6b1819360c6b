"""`vidguard forge` on real files: what is written, where it differs, and what is refused."""

from __future__ import annotations

import importlib.util
import tracemalloc
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import FPS, empty_clip, face_clip
from skimage.data import astronaut

from vidguard.forge import CHAINS, COURSES, KINDS
from vidguard.video import open_source, write_video

pytestmark = pytest.mark.usefixtures("one_thread")
PORTRAIT = np.ascontiguousarray(np.asarray(astronaut())[:240, 110:350])


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A portrait, another person's (mirrored, blue), a clip, a room without anybody."""
    folder = tmp_path_factory.mktemp("sources")
    cv2.imwrite(str(folder / "face.png"), PORTRAIT[..., ::-1])
    cv2.imwrite(str(folder / "other.png"), PORTRAIT[:, ::-1])  # written as BGR: red and blue change places
    face_clip(folder / "clip.mp4", seconds=1.5)
    empty_clip(folder / "nobody.mp4")
    return folder


def pictures(path: Path) -> tuple[np.ndarray, list[float]]:
    with open_source(path) as reader:
        batches = list(reader.batches())
    frames = np.concatenate([batch.frames.permute(0, 2, 3, 1).numpy() for batch in batches])
    return frames, [time for batch in batches for time in batch.pts_seconds]


def on_the_face(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean difference per frame over the middle of the face."""
    return np.abs(a[..., 70:150, 70:160, :].astype(float) - b[..., 70:150, 70:160, :]).mean((-3, -2, -1))


def test_a_picture_is_forged_alike_for_one_seed_and_otherwise_for_another(command, files, tmp_path):
    made = []
    for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        code, out, err = command("forge", files / "face.png", "--out", tmp_path / name, "--seed", seed, "--strength", 2)
        assert (code, err) == (0, "")
        assert f"{tmp_path / name}: self-blend, seed {seed}" in out
        made.append(cv2.imread(str(tmp_path / name))[..., ::-1])
    np.testing.assert_array_equal(made[0], made[1])
    assert on_the_face(made[0], PORTRAIT) > 1
    assert (made[0] != made[2]).any()
    np.testing.assert_array_equal(made[0][:20], PORTRAIT[:20])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "c.png"]


def test_a_clip_is_forged_from_here_to_there_by_its_donor(command, files, tmp_path):
    target = tmp_path / "forged.mp4"
    options = ("--kind", "swap", "--donor", files / "other.png", "--from", "0.45", "--to", "0.95", "--seed", 3)
    code, out, _ = command("forge", files / "clip.mp4", "--out", target, *options)
    assert code == 0
    assert "5 frames from 0.50 to 1.00 s" in out
    (genuine, times), (forged, times_forged) = pictures(files / "clip.mp4"), pictures(target)
    assert times_forged == pytest.approx(times)
    difference = on_the_face(genuine, forged)
    inside = np.array([0.45 <= time < 0.95 for time in times])
    assert inside.sum() == 5
    assert difference[inside].min() > 1.5 * difference[~inside].max()


def test_a_chain_makes_the_whole_clip_worse(command, files, tmp_path):
    for name, more in (("plain.mp4", ()), ("sent.mp4", ("--chain", "messenger"))):
        code, out, _ = command("forge", files / "clip.mp4", "--out", tmp_path / name, "--to", "0.3", *more)
        assert code == 0
        assert ("sent as messenger" in out) == bool(more)
    (genuine, _), (plain, _), (sent, _) = (
        pictures(path) for path in (files / "clip.mp4", tmp_path / "plain.mp4", tmp_path / "sent.mp4")
    )
    assert len(sent) == len(genuine)
    outside = np.arange(len(genuine)) >= 0.5 * FPS
    assert on_the_face(sent, genuine)[outside].min() > 1.5 * on_the_face(plain, genuine)[outside].max()


def test_a_forgery_that_drops_out_leaves_frames_inside_it_as_they_were(command, files, tmp_path):
    target = tmp_path / "forged.mp4"
    options = ("--course", "dropout", "--strength", 4, "--from", "0.2", "--to", "1.0")
    code, out, _ = command("forge", files / "clip.mp4", "--out", target, *options)
    assert code == 0
    assert "some of them dropped out" in out
    (genuine, times), (forged, _) = pictures(files / "clip.mp4"), pictures(target)
    difference = on_the_face(genuine, forged)
    inside = [value for value, time in zip(difference, times) if 0.2 <= time < 1.0]
    untouched = max(value for value, time in zip(difference, times) if not 0.2 <= time < 1.0)
    dropped = [value < 2 * untouched for value in inside]
    assert 0 < sum(dropped) < len(dropped) / 2
    assert not dropped[0]
    assert not dropped[-1]


def test_several_sources_go_into_a_folder_and_a_bad_one_stops_none(command, files, tmp_path):
    out_dir = tmp_path / "fakes"
    sources = (files / "nobody.mp4", files / "face.png", files / "missing.png", files / "clip.mp4")
    code, _, err = command("forge", *sources, "--out", out_dir, "--kind", "attribute", "--quiet", "--to", "0.2")
    assert code == 3
    assert sorted(path.name for path in out_dir.iterdir()) == ["clip.mp4.forged.mp4", "face.png.forged.png"]
    told = [line for line in err.splitlines() if line.startswith("vidguard: /")]
    assert [line.split(": ", 2)[1:] for line in told] == [
        [str(files / "missing.png"), "no such file"],
        [str(files / "nobody.mp4"), "no face was found in it"],
    ]


def test_a_defect_in_one_source_leaves_the_others(command, files, tmp_path, monkeypatch):
    from vidguard.protocols.forger import Forger

    def failing(self, file):
        raise RuntimeError("tensor trouble")

    monkeypatch.setattr(Forger, "read", failing)
    code, _, err = command("forge", files / "face.png", files / "other.png", "--out", tmp_path / "out")
    assert code == 3
    assert [line.split(": unexpected")[0].split("/")[-1] for line in err.splitlines()] == ["face.png", "other.png"]


def test_a_preview_needs_no_out(command, files, tmp_path):
    sheet = tmp_path / "sheet.png"
    code, out, _ = command("forge", files / "face.png", "--preview", sheet, "--donor", files / "other.png")
    assert code == 0
    assert "1 faces" in out
    picture = cv2.imread(str(sheet))
    assert picture.shape[1] == 11 * 208
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("ai_edge_litert", "mediapipe")),
    reason="needs ai-edge-litert and mediapipe's model file",
)
@pytest.mark.parametrize("kind", ["mesh-swap", "part-swap", "reenactment"])
def test_kinds_with_meshes_work_on_clips(command, files, tmp_path, kind):
    target = tmp_path / "forged.mp4"
    options = ("--kind", kind, "--donor", files / "other.png", "--to", "0.25", "--quiet", "--strength", "2")
    assert command("forge", files / "clip.mp4", "--out", target, *options)[0] == 0
    (genuine, _), (forged, _) = pictures(files / "clip.mp4"), pictures(target)
    difference = on_the_face(genuine, forged)
    assert difference[:3].min() > 1.5 * difference[4:].max()


def test_a_picture_takes_the_donors_frame_whose_head_is_held_most_alike(files, monkeypatch):
    from vidguard.forge import Face
    from vidguard.protocols.forger import Forger, Order

    forger = Forger(Order("swap"))
    points = np.array([[109, 101], [151, 103], [129, 129], [105, 139], [149, 141]], np.float32)
    turned = points + np.array([[9, 0], [3, 0], [16, 0], [6, 0], [3, 0]], np.float32)
    face = Face(PORTRAIT, points, points)
    donors = [Face(PORTRAIT, points), Face(PORTRAIT, points, turned), Face(PORTRAIT, points, points + 1)]
    monkeypatch.setattr(forger, "_donors", donors)
    assert forger._alike(face) == [donors[2]]
    assert forger._alike(Face(PORTRAIT, points)) == [donors[0]]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "--preview"),
        (("--out", "x.png", "--kind", "morph"), "choose one of self-blend"),
        (("--out", "x.png", "--chain", "fax"), "choose one of messenger"),
        (("--out", "x.png", "--course", "zigzag"), "choose one of steady"),
        (("--out", "x.png", "--kind", "swap"), "--donor FILE"),
        (("--out", "x.png", "--from", "3", "--to", "2"), "ends"),
        (("--out", "nowhere/x.png"), "no folder"),
        (("--preview", "sheet.mp4"), "must end in"),
        (("--out", "face.png"), "source itself"),
        (("--preview", "face.png"), "source itself"),
        (("--out", "other.png", "--kind", "swap", "--donor", "other.png"), "donor itself"),
        (("--preview", "other.png", "--donor", "other.png"), "donor itself"),
        (("--out", "x.png", "--preview", "./x.png"), "where --out writes"),
        (("--out", "x.png", "--strength", "11"), "--strength"),
        (("--out", "x.png", "--strength", "nan"), "--strength"),
    ],
)
def test_what_cant_be_done_is_said_before_anything_is_read(command, files, monkeypatch, arguments, word):
    monkeypatch.chdir(files)
    before = sorted(files.iterdir())
    code, _, err = command("forge", "face.png", *arguments)
    assert code == 2
    assert word in " ".join(err.replace("│", " ").split())
    assert sorted(files.iterdir()) == before


def test_of_several_no_forgery_falls_on_a_source_the_donor_or_the_preview(command, tmp_path):
    content = {name: name.encode() for name in ("a.png", "a.png.forged.png", "b.png")}
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "in").mkdir()
    for name in ("c.png", "d.png"):
        (tmp_path / "in" / name).write_bytes(b"")
    inner, taken = tmp_path / "in", tmp_path / "c.png.forged.png"
    for arguments, word in (
        ((tmp_path / "a.png", tmp_path / "a.png.forged.png", "--out", tmp_path), "source itself"),
        ((inner, "--out", tmp_path, "--kind", "swap", "--donor", taken), "donor itself"),
        ((inner, "--out", tmp_path, "--preview", taken), "where --out writes"),
    ):
        code, _, err = command("forge", *arguments)
        assert code == 2
        assert word in " ".join(err.replace("│", " ").split())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == content


def test_a_clip_is_forged_without_a_second_copy_of_it_in_memory(files):
    from vidguard.protocols.forger import Forger, Order

    forger = Forger(Order())
    subject = forger.read(files / "clip.mp4")
    clip = subject.clip
    longer = replace(clip, frames=clip.frames * 4)
    chosen = list(range(len(longer.frames)))
    frames = forger._frames(
        replace(subject, clip=longer, chosen=chosen, faces=subject.faces * 4), np.random.default_rng(0)
    )
    tracemalloc.start()
    try:
        made = sum((frame != genuine).any() for frame, genuine in zip(frames, longer.frames))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert made == 60
    assert peak < 30 * clip.frames[0].nbytes


@pytest.mark.parametrize("strength", [-0.1, 10.5, 1e6, float("inf"), float("nan")])
def test_a_strength_beyond_what_can_be_forged_is_refused(strength):
    from vidguard.errors import InputError
    from vidguard.protocols.forger import Order

    with pytest.raises(InputError, match="0 to 10"):
        Order(strength=strength)


def test_a_target_that_cant_hold_the_source_is_refused(command, files, tmp_path):
    code, _, err = command("forge", files / "face.png", "--out", tmp_path / "x.mp4")
    assert code == 3
    assert "ends in .png" in err
    code, _, err = command("forge", files / "clip.mp4", "--out", tmp_path / "x.png")
    assert code == 3
    assert "ends in .mp4" in err
    assert not list(tmp_path.iterdir())


def test_a_stretch_without_the_face_and_a_clip_beyond_memory_are_refused(command, files, tmp_path, monkeypatch):
    code, _, err = command("forge", files / "clip.mp4", "--out", tmp_path / "x.mp4", "--from", "60")
    assert code == 3
    assert "isn't in sight" in err
    monkeypatch.setattr("vidguard.protocols.forger._MAX_BYTES", 240 * 240 * 3)
    code, _, err = command("forge", files / "clip.mp4", "--out", tmp_path / "x.mp4")
    assert code == 3
    assert "fit into memory" in err
    assert not list(tmp_path.iterdir())


def test_help_names_every_kind_chain_and_course(command):
    out = "".join(command("forge", "--help")[1].split())  # names break at their hyphens
    for name in (*KINDS, *CHAINS, *COURSES):
        assert name in out


def test_a_clip_without_end_is_written_whole(command, tmp_path):
    # half the clip shows nobody: those frames are kept as they are
    room = np.full_like(PORTRAIT, 90)
    source = tmp_path / "half.mp4"
    write_video(source, ((PORTRAIT if k < 8 else room, k / FPS) for k in range(12)), crf=10, frame_rate=FPS)
    code, out, _ = command("forge", source, "--out", tmp_path / "x.mp4", "--strength", 2)
    assert code == 0
    assert "8 frames from 0.00 to 0.80 s" in out
    frames, _ = pictures(tmp_path / "x.mp4")
    assert len(frames) == 12
    assert np.abs(frames[10].astype(float) - 90).mean() < 3
