"""Recipes of several detectors: settings stated once, and a weight set for each encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
from small import RECIPE, save_store, small_store

from vidguard.cli.app import run
from vidguard.detector import load_judge
from vidguard.encoders import ENCODERS
from vidguard.errors import InputError
from vidguard.training.checkpoint import round_digest
from vidguard.training.recipe import Round, load_recipe
from vidguard.weights import find_weights, list_weights


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "several.toml"
    path.write_text(RECIPE)
    return path


def test_what_every_encoder_shares_is_stated_once_and_an_encoder_may_differ(recipe: Path) -> None:
    encoders = load_recipe(str(recipe)).encoders
    assert {name: settings.batch for name, settings in encoders.items()} == {"mesoinception4": 4, "meso4": 6}
    assert all(settings.rounds == (Round(24, 3e-3),) for settings in encoders.values())


@pytest.mark.parametrize(
    ("there", "wrong"),
    [
        ("batch = 4", "bacth = 4"),
        ("[every_encoder]", "[every_encoders]"),
        ("[encoders.meso4]\nbatch = 6", ""),
        ("[encoders.mesoinception4]\n[encoders.meso4]\nbatch = 6", "[encoders]\nmesoinception4 = 3"),
    ],
)
def test_shared_settings_are_checked_like_an_encoders_own(recipe: Path, there: str, wrong: str) -> None:
    assert RECIPE.count(there) == 1
    recipe.write_text(RECIPE.replace(there, wrong))
    if wrong:
        with pytest.raises(InputError, match="not a recipe"):
            load_recipe(str(recipe))
    else:
        assert list(load_recipe(str(recipe)).encoders) == ["mesoinception4"]
    recipe.write_text("every_encoder = 3\n" + RECIPE.replace("[every_encoder]", "[other]"))
    with pytest.raises(InputError, match="not a recipe"):
        load_recipe(str(recipe))


def test_an_encoder_alone_is_trained_as_for_the_whole_recipe(recipe: Path) -> None:
    whole = load_recipe(str(recipe))
    alone = whole.of_encoder("mesoinception4")
    assert alone.name == "mesoinception4"
    assert alone.description == "MesoInception4. For a test."
    assert round_digest(alone, "mesoinception4", 0, "crops") == round_digest(whole, "mesoinception4", 0, "crops")
    with pytest.raises(InputError, match=r"several has no encoder 'mislnet'; it has mesoinception4, meso4"):
        whole.of_encoder("mislnet")


def test_one_recipe_makes_a_weight_set_of_each_encoder(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_store(tmp_path / "work" / "store", small_store())
    places = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"), "--workers", "1"]
    names = ("mesoinception4", "meso4")
    for name in names:
        assert run(["train", str(recipe), "--encoder", name, *places]) == 0, capsys.readouterr().err
        judge, passport = load_judge(find_weights(name, tmp_path / "out"))
        assert judge.names == passport.encoders == (name,)
        assert type(judge.encoders[name]) is ENCODERS[name]
        assert passport.figures["recipe"]["encoders"].keys() == {name}
        assert (tmp_path / "out" / name / "CARD.md").read_text().startswith(f"# {name}\n")
    assert [entry.name for entry in list_weights(tmp_path / "out")] == list(names)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
    assert run(["train", str(recipe), "--encoder", names[0], *places]) == 0
    assert {path: path.stat().st_mtime_ns for path in made} == made  # it is there, though another was made since
    assert run(["train", str(recipe), "--encoder", "mislnet", *places]) == 2
    assert "several has no encoder 'mislnet'" in capsys.readouterr().err


def test_the_detectors_recipe_has_every_encoder_by_one_protocol_but_for_steps_and_shares_base_v1s_crops() -> None:
    recipe = load_recipe("detectors-v1")
    assert set(recipe.names) == set(ENCODERS) - {"clip_vit_b16"}  # a foundation model, trained by other means
    assert recipe.material == load_recipe("base-v1").material
    assert len({(e.batch, e.weight_decay, e.degraded, e.mixture) for e in recipe.encoders.values()}) == 1
    assert sum(part.weight for part in recipe.mixture) == pytest.approx(1.0)
