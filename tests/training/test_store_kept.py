"""A store of crops that is there: taken up by the recipe that cut it, refused to others, and part of every digest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small import NAME, save_store, small_recipe

from vidguard.errors import InputError
from vidguard.training import pipeline
from vidguard.training.listing import Row
from vidguard.training.material import Store, open_store
from vidguard.training.pipeline import prepare, train
from vidguard.training.recipe import MaterialRecipe, Recipe, Round


def recipe_of(**material: object) -> Recipe:
    settings = {**vars(MaterialRecipe(8.0, 64, (), False, ())), **material}
    return replace(small_recipe(Round(1, 1e-3)), material=MaterialRecipe(**settings))


def write_store(folder: Path) -> None:
    """Three crops, as the stage leaves them when it has cut them."""
    rows = tuple(Row(f"{k}.jpg", "real", "none", "d", "train", f"g{k}") for k in range(3))
    save_store(folder, Store(np.zeros((3, 224, 224, 3), np.uint8), np.zeros((3, 5, 2), np.float32), rows))


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work folder in which the stage prepare has cut a folder of pictures."""

    def build(listed: object, folder: Path, recipe: object, *, workers: int, say: object) -> Store:
        write_store(folder)
        return open_store(folder)

    monkeypatch.setattr(pipeline, "build_store", build)
    (tmp_path / "clips" / "real").mkdir(parents=True)
    (tmp_path / "clips" / "real" / "a.jpg").touch()
    prepare(recipe_of(), [tmp_path / "clips"], tmp_path, 1, lambda _: None)
    return tmp_path


def test_crops_cut_by_other_settings_are_refused_without_the_material_too(prepared: Path) -> None:
    other = recipe_of(validation_groups=("g1",))
    said: list[str] = []
    prepare(recipe_of(), [], prepared, 1, said.append)
    prepare(recipe_of(), [prepared / "clips"], prepared, 1, said.append)
    assert all("crops are there" in line for line in said)
    assert len(said) == 2
    for stage in ("prepare", NAME, "temporal"):
        with pytest.raises(InputError, match="cut from other material, or by other settings"):
            train(other, [], prepared, prepared / "out", only=stage, workers=0, show=said.append)
    for file in ("cut_by", "made_from"):  # a store from before there were such files
        (prepared / "store" / file).unlink()
    prepare(other, [], prepared, 1, said.append)
    assert open_store(prepared / "store").made_from is None


def test_what_is_made_from_the_crops_depends_on_all_of_them(prepared: Path) -> None:
    recipe, store = recipe_of(), prepared / "store"
    (prepared / f"{NAME}.safetensors").write_bytes(b"weights")
    found = [pipeline._inputs(recipe, prepared)]
    assert pipeline._inputs(recipe, prepared) == found[0]
    assert open_store(store).made_from == (store / "made_from").read_text()
    for file, content in (("made_from", b"other"), ("meshes.npy", b"one"), ("meshes.npy", b"four"), ("crops.npy", b"")):
        (store / file).write_bytes(content)
        found.append(pipeline._inputs(recipe, prepared))
    assert len({str(inputs) for inputs in found}) == len(found)
