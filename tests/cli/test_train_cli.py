"""`vidguard train` from the outside: from real files to weights that load, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from vidguard.cli.app import run
from vidguard.detector import load_judge
from vidguard.video import TimedImage, write_video
from vidguard.weights import find_weights

RECIPE = """
name = "tiny"
seed = 1
description = "For a test."
licence = "none"

[material]
video_frames_per_second = 8.0
max_frames_per_track = 16
meshes = false
validation_groups = []
temporal_groups = []

[[mixture]]
draw = "labelled"
datasets = ["clips"]
weight = 1.0

[encoders.mesoinception4]
rounds = [{ steps = 16, learning_rate = 3.0e-3 }]
batch = 4
weight_decay = 0.0
bfloat16 = true
ema_decay = 0.5
degraded = 0.0

[temporal]
forgeries_per_track = 2
epochs = 1
batch = 2
learning_rate = 1.0e-3
weight_decay = 0.0
"""


def clip(path: Path) -> None:
    """Twelve frames of a face, with little green in fakes: a few steps are enough to learn that."""
    path.parent.mkdir(parents=True)
    portrait = np.array(astronaut()[4:244, 110:350])
    if path.parent.name == "fake":
        portrait[..., 1] //= 2

    def pictures() -> Iterator[TimedImage]:
        for k in range(12):
            yield np.ascontiguousarray(np.roll(portrait, k % 3, axis=1)), k / 8

    write_video(path, pictures(), crf=14, frame_rate=8)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


def test_from_a_folder_of_clips_to_weights_that_load(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("train/real", "train/fake", "val/real", "val/fake"):
        clip(tmp_path / "clips" / place / f"{place[:3]}.mp4")
    work, out = tmp_path / "work", tmp_path / "out"
    places = [str(recipe), "--work", str(work), "--out", str(out), "--workers", "1"]
    assert run(["train", *places, "--only", "temporal"]) == 2
    assert "--material" in capsys.readouterr().err
    whole = ["train", *places, "--material", str(tmp_path / "clips")]
    assert run(whole) == 0, capsys.readouterr().err
    assert (work / "store" / "rows.csv").read_text().count("train/fake/tra.mp4") >= 8
    judge, passport = load_judge(find_weights("tiny", out))
    assert judge.names == ("mesoinception4",)
    assert passport.training_data == ("clips",)
    card = (out / "tiny" / "CARD.md").read_text()
    assert "--only card" not in card  # "tiny" is no recipe that anybody else could name
    assert "DFDC" not in card.split("## Limits")[0]  # what is said of base-v1's material isn't true of others

    made = {path: path.stat().st_mtime_ns for path in (*work.rglob("*.safetensors"), *out.rglob("*.*"))}
    capsys.readouterr()
    assert run(whole) == 0
    assert {path: path.stat().st_mtime_ns for path in made} == made  # everything is there: nothing runs again
    said = capsys.readouterr().err
    assert all(f"{stage}: " in said for stage in ("prepare", "mesoinception4", "temporal"))
    assert run(["train", *places, "--only", "card"]) == 0
    assert (out / "tiny" / "CARD.md").stat().st_mtime_ns > made[out / "tiny" / "CARD.md"]

    recipe.write_text(RECIPE.replace("max_frames_per_track = 16", "max_frames_per_track = 8"))
    assert run(whole) == 2
    assert "store was cut from other material" in capsys.readouterr().err
    recipe.write_text(RECIPE.replace("steps = 16", "steps = 17"))
    assert run(whole) == 2
    assert "mesoinception4.round0.safetensors was trained by another recipe" in capsys.readouterr().err
    assert run(["train", *places, "--only", "temporal"]) == 2
    assert "mesoinception4.safetensors was trained by another recipe" in capsys.readouterr().err


def test_pictures_alone_make_a_set_whose_transformer_is_untrained(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe.write_text(RECIPE.replace("epochs = 1", "epochs = 0"))
    rng = np.random.default_rng(0)
    for place in ("train/real", "train/fake", "val/real", "val/fake"):
        folder = tmp_path / "clips" / place
        folder.mkdir(parents=True)
        portrait = np.array(astronaut()[4:244, 110:350])
        if folder.name == "fake":
            portrait[..., 1] //= 2
        for k in range(4):
            shown = np.clip(portrait + rng.normal(0, 3, portrait.shape), 0, 255).astype(np.uint8)
            Image.fromarray(shown).save(folder / f"{place[:3]}{k}.png")
    order = ["train", str(recipe), "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert run([*order, "--material", str(tmp_path / "clips")]) == 0, capsys.readouterr().err
    judge, passport = load_judge(find_weights("tiny", tmp_path / "out"))
    assert passport.figures["temporal"] == {"validation_loss_by_epoch": []}
    assert not judge.temporal.frame_head.weight.any()
    assert "wasn't trained: segments and videos" in (tmp_path / "out" / "tiny" / "CARD.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonesuch", "--work", "{tmp}/w"], "shipped recipes: base-v1"),
        (["{tmp}/tiny.toml"], "--work DIR"),
        (["{tmp}/tiny.toml", "--work", "{tmp}/w"], "--material"),
        (["{tmp}/tiny.toml", "--work", "{tmp}/w", "--material", "{tmp}/none.csv"], "none.csv"),
        (["{tmp}/tiny.toml", "--work", "{tmp}/w", "--only", "polish"], "prepare, mesoinception4, temporal"),
        (["{tmp}/tiny.toml", "--work", "{tmp}/w", "--development", "r.json"], "--only card"),
        (["{tmp}/tiny.toml", "--out", "{tmp}", "--only", "card"], "manifest.toml"),
    ],
)
def test_what_cant_be_done_is_said_in_a_line(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert run(["train", *(a.format(tmp=tmp_path) for a in arguments)]) == 2
    printed = capsys.readouterr().err
    assert says in printed
    assert len(printed.splitlines()) == 1


def test_a_recipe_with_an_encoder_or_name_that_cannot_be_is_refused(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong in (RECIPE.replace("mesoinception4", "resnet"), RECIPE.replace('"tiny"', '"../tiny"')):
        recipe.write_text(wrong)
        assert run(["train", str(recipe), "--work", str(tmp_path / "w")]) == 2
        assert "is not a recipe" in capsys.readouterr().err


def test_help_says_how_material_is_split_and_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for words in ("one in five for val", "mediapipe==0.10.21", "vidguard[train]", "path,label,kind,dataset,split"):
        assert words in printed


def test_the_card_takes_in_a_development_result_and_refuses_anything_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(__file__).parents[2]
    for file in ("manifest.toml", "base-v1/passport.json", "base-v1/model.safetensors"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes((root / "weights" / file).read_bytes())
    result = root / "benchmarks" / "accuracy" / "results" / "base-v1.json"
    command = ["train", "base-v1", "--only", "card", "--out", str(tmp_path), "--development"]
    assert run([*command, str(result)]) == 0, capsys.readouterr().err
    commit = json.loads(result.read_text())["environment"]["commit"][:12]
    assert commit in (tmp_path / "base-v1" / "CARD.md").read_text()
    (tmp_path / "other.json").write_text("{}")
    assert run([*command, str(tmp_path / "other.json")]) == 2
    assert "other.json doesn't hold the figures" in capsys.readouterr().err
