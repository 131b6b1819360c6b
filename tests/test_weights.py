"""Weights are refused unless every byte is what the manifest says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vidguard.errors import WeightsError
from vidguard.weights import find_weights, list_weights, read_passport, read_tensors, weights_folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(weights_folder(), tmp_path / "weights")
    return tmp_path / "weights"


def test_every_listed_weight_set_is_complete_and_has_a_card() -> None:
    entries = list_weights()
    assert sum(entry.default for entry in entries) == 1
    assert entries[0].default
    for entry in entries:
        passport = read_passport(entry)
        assert passport.name == entry.name
        assert 0 < passport.calibration.video_threshold < 1
        assert (entry.folder / "CARD.md").read_text().startswith(f"# {entry.name}")
        assert entry.size_bytes < 40e6


@pytest.mark.parametrize("file", ["model.safetensors", "passport.json"])
def test_one_changed_byte_is_found(copy: Path, file: str) -> None:
    entry = find_weights(folder=copy)
    content = bytearray((entry.folder / file).read_bytes())
    content[-10] ^= 1
    (entry.folder / file).write_bytes(bytes(content))
    with pytest.raises(WeightsError, match="damaged"):
        read_tensors(entry) if file.endswith("safetensors") else read_passport(entry)


def test_missing_files_and_manifests_say_what_to_do(copy: Path) -> None:
    entry = find_weights(folder=copy)
    (entry.folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="reinstall"):
        read_tensors(entry)
    (copy / "manifest.toml").write_text("weights = 3")
    with pytest.raises(WeightsError, match="reinstall"):
        list_weights(copy)
