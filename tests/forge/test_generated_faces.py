"""Generated faces: the same for a seed, with noise of their own, and a plain word where the network isn't installed."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys

import numpy as np
import pytest

from vidguard.errors import InputError
from vidguard.forge.generated import FaceGenerator

installed = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("openvino", "random_face")),
    reason="needs openvino and random_face's network",
)


@pytest.fixture(scope="module")
def generator() -> FaceGenerator:
    return FaceGenerator()


@installed
def test_a_seed_and_truncation_give_one_face(generator: FaceGenerator) -> None:
    first, again, other = (generator.draw(seed, truncation=0.7) for seed in (3, 3, 4))
    assert (first.shape, first.dtype) == ((1024, 1024, 3), np.uint8)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(float) - other).mean() > 10


@installed
def test_at_no_variety_faces_are_one_but_for_their_noise(generator: FaceGenerator) -> None:
    first, other = (generator.draw(seed, truncation=0.0).astype(float) for seed in (3, 4))
    assert 0.1 < np.abs(first - other).mean() < 10
    red, blue = first[256:768, 256:768, [0, 2]].mean((0, 1))
    assert red > blue + 10  # skin, in RGB


@installed
def test_truncation_beyond_the_network_is_refused(generator: FaceGenerator) -> None:
    with pytest.raises(InputError, match=r"truncation must lie in 0 to 1, got 1\.5"):
        generator.draw(0, truncation=1.5)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(InputError, match=r"vidguard\[generate\]' && pip install --no-deps random_face"):
        FaceGenerator()


def test_without_the_networks_files_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", object())
    empty = importlib.machinery.ModuleSpec("random_face", None, origin=str(tmp_path_factory.mktemp("empty") / "x.py"))
    for found, message in ((None, "need the network's files: pip"), (empty, "no network inside: pip")):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, found=found: found)
        with pytest.raises(InputError, match=message):
            FaceGenerator()
