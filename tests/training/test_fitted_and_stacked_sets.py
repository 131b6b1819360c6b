"""Weight sets of fitted fingerprints, and sets that stack another recipe's encoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small import RECIPE, save_store, small_store

import vidguard
from vidguard.cli.app import run
from vidguard.detector import load_judge
from vidguard.errors import InputError
from vidguard.training.checkpoint import final_digest
from vidguard.training.fit import fit_encoder
from vidguard.training.recipe import load_recipe
from vidguard.weights import find_weights

FITTED = """
[fitted.color-svm]
samples = 60
degraded = 0.0
"""
STACK = """
name = "stack"
description = "Two of several."
of = "{of}"
encoders = ["mesoinception4", "color-svm"]
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "several.toml"
    path.write_text(RECIPE.replace("epochs = 1", "epochs = 0").replace("[temporal]", f"{FITTED}\n[temporal]"))
    return path


def test_a_fitted_fingerprint_is_a_weight_set_like_any_and_a_stack_trains_nothing_again(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    save_store(work / "store", small_store())
    places = ["--work", str(work), "--out", str(out), "--workers", "1"]
    assert run(["train", str(recipe), "--encoder", "color-svm", *places]) == 0, capsys.readouterr().err
    entry = find_weights("color-svm", out)
    store = small_store()
    crops = torch.from_numpy(store.crops[store.where(split="val", datasets=["dfdc"])]).permute(0, 3, 1, 2)
    probabilities = np.asarray(vidguard.load(str(entry.folder), device="cpu").score_crops(crops))
    assert probabilities[1::2].min() > probabilities[::2].max()  # the store's fakes are darker
    judge, passport = load_judge(entry)
    assert judge.names == passport.encoders == ("color-svm",)
    assert entry.size_bytes < 300_000

    assert run(["train", str(recipe), "--only", "mesoinception4", *places]) == 0, capsys.readouterr().err
    made = {path: path.stat().st_mtime_ns for path in work.glob("*.safetensors") if "sequences" not in path.name}
    stack = tmp_path / "stack.toml"
    stack.write_text(STACK.format(of=recipe))
    assert run(["train", str(stack), *places]) == 0, capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in made} == made
    stacked, passport = load_judge(find_weights("stack", out))
    assert passport.encoders == ("color-svm", "mesoinception4")
    assert torch.equal(stacked.encoders["color-svm"].head.weight, judge.encoders["color-svm"].head.weight)
    assert stacked.fusion.weight[0, 0] > 0


def test_a_stack_takes_everything_else_from_its_recipe(tmp_path: Path, recipe: Path) -> None:
    stack = tmp_path / "stack.toml"
    stack.write_text(STACK.format(of=recipe))
    found, whole = load_recipe(str(stack)), load_recipe(str(recipe))
    assert (found.name, found.names) == ("stack", ("mesoinception4", "color-svm"))
    assert (found.material, found.temporal, found.licence) == (whole.material, whole.temporal, whole.licence)
    for name in found.names:
        assert final_digest(found, name, "crops") == final_digest(whole, name, "crops")
    for there, wrong in (("color-svm", "mislnet"), ('of = "', 'of = "no-'), ("description", "descriptoin")):
        stack.write_text(STACK.format(of=recipe).replace(there, wrong))
        with pytest.raises(InputError):
            load_recipe(str(stack))


def test_the_shipped_stack_is_of_detectors_v1() -> None:
    stack, whole = load_recipe("ensemble-v1"), load_recipe("detectors-v1")
    assert stack.encoders == {name: whole.encoders[name] for name in stack.encoders}
    assert len(stack.encoders) == 5


@pytest.mark.parametrize(
    ("there", "wrong"),
    [
        ("[fitted.color-svm]", "[fitted.meso4]"),
        ("[encoders.mesoinception4]", "[encoders.spectrum-lr]"),
        ("= 60", "= 0"),
    ],
)
def test_networks_arent_fitted_and_fingerprints_arent_trained(recipe: Path, there: str, wrong: str) -> None:
    text = recipe.read_text()
    assert text.count(there) == 1
    recipe.write_text(text.replace(there, wrong))
    with pytest.raises(InputError, match="not a recipe"):
        load_recipe(str(recipe))


def test_a_fit_follows_its_settings(recipe: Path) -> None:
    before = final_digest(load_recipe(str(recipe)), "color-svm", None)
    recipe.write_text(recipe.read_text().replace("samples = 60", "samples = 61"))
    assert final_digest(load_recipe(str(recipe)), "color-svm", None) != before


def test_missing_material_is_told_before_anything_is_drawn(tmp_path: Path, recipe: Path) -> None:
    text = recipe.read_text()
    recipe.write_text(text.replace('datasets = ["dfdc"]\nweight', 'datasets = ["lfw"]\nweight'))
    with pytest.raises(InputError, match="from lfw, which needs both genuine and fake faces"):
        fit_encoder("color-svm", load_recipe(str(recipe)), small_store(), tmp_path, say=lambda _: None)


def test_a_stack_of_a_stack_is_refused(tmp_path: Path) -> None:
    for name, of in (("one", "two"), ("two", "one"), ("self", "self")):
        stack = f'name = "{name}"\ndescription = ""\nof = "{tmp_path / of}.toml"\nencoders = ["meso4", "amtennet"]\n'
        (tmp_path / f"{name}.toml").write_text(stack)
    for name in ("one", "self"):
        with pytest.raises(InputError, match="which is a stack itself"):
            load_recipe(str(tmp_path / f"{name}.toml"))
