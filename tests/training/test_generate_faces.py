"""A folder of generated faces is material to train on; the network itself has its tests in tests/forge."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vidguard.training import generate
from vidguard.training.listing import list_material
from vidguard.training.recipe import MaterialRecipe


class StandIn:
    """Draws a plain picture whose colour tells the seed."""

    drawn: list[tuple[int, float]]

    def __init__(self) -> None:
        type(self).drawn = []

    def draw(self, seed: int, *, truncation: float) -> np.ndarray:
        self.drawn.append((seed, truncation))
        return np.full((1024, 1024, 3), (250, seed, 10), np.uint8)


@pytest.fixture
def draw(monkeypatch, tmp_path):
    monkeypatch.setattr(generate, "FaceGenerator", StandIn)
    heard: list[tuple[int, int]] = []

    def call(count: int, seed: int):
        heard.clear()
        return generate.generate_faces(tmp_path / "faces", count, seed=seed, advance=lambda *done: heard.append(done))

    call.heard = heard
    return call


def test_the_folder_is_material_and_pictures_tell_their_seed(draw):
    manifest = draw(40, 40)
    assert draw.heard == [(done, 40) for done in range(1, 41)]
    listed = list_material([manifest], MaterialRecipe(8.0, 64, (), False, ()))
    assert len(listed) == 40
    assert {(row.label, row.kind, row.dataset) for _, row in listed} == {("fake", "generated", "mobilestylegan")}
    assert [row.split for _, row in listed].count("train") == 34
    assert [row.split for _, row in listed].count("val") == 6
    assert len({row.group for _, row in listed}) == 40
    sides = set()
    for seed, (path, _) in enumerate(listed, start=40):
        picture = cv2.imread(str(path))
        np.testing.assert_allclose(picture.mean((0, 1)), (10, seed, 250), atol=3)
        sides.add(picture.shape)
    assert sides == {(256, 256, 3), (512, 512, 3), (1024, 1024, 3)}
    truncations = [truncation for _, truncation in StandIn.drawn]
    assert 0.4 <= min(truncations) < 0.5 < 0.9 < max(truncations) <= 1


def test_a_second_call_draws_only_what_is_missing(draw):
    folder = draw(3, 0).parent
    kept = {path.name: path.read_bytes() for path in folder.glob("*.jpg")}
    (folder / "mobilestylegan-seed000001.jpg").unlink()
    draw(4, 0)
    assert [seed for seed, _ in StandIn.drawn] == [1, 3]
    assert {name: (folder / name).read_bytes() for name in kept} == kept
    assert len(list(folder.iterdir())) == 5
