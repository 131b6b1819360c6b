"""Weights are refused unless every byte is what the manifest says."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vidguard.detector import load_judge
from vidguard.errors import WeightsError
from vidguard.scoring.calibration import Band, DecisionRule, GenuineScores
from vidguard.weights import (
    count_parameters,
    enter_in_manifest,
    find_weights,
    list_weights,
    read_passport,
    read_tensors,
    weights_folder,
    write_files,
    write_passport,
)


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


def test_a_set_is_found_by_its_folders_path_and_a_name_goes_first(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = find_weights().name
    assert find_weights(copy / name).folder == (copy / name).resolve()
    monkeypatch.chdir(copy)
    assert find_weights(f"./{name}").folder == (copy / name).resolve()
    assert find_weights(name).folder == weights_folder() / name
    (copy / "other").mkdir()
    for unknown in ("other", copy / "other", "./missing"):
        with pytest.raises(WeightsError, match="or give the path of a weight set's folder"):
            find_weights(unknown)
    (copy / "manifest.toml").unlink()
    with pytest.raises(WeightsError, match=r"manifest\.toml can't be read"):
        find_weights(copy / name)


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", ".hidden", "", "x" * 65])
def test_a_manifests_names_lead_nowhere_else(copy: Path, name: str) -> None:
    text = (copy / "manifest.toml").read_text().replace(find_weights().name, name)
    (copy / "manifest.toml").write_text(text)
    with pytest.raises(WeightsError, match="can't be read"):
        list_weights(copy)


def test_a_written_set_is_read_back_and_text_survives_the_manifest(tmp_path: Path) -> None:
    tensors = {"w": torch.arange(6.0).reshape(2, 3).T, "bn.running_mean": torch.ones(4), "b": torch.zeros(())}
    words = 'quotes ", back\\slash, „Umlaut ä“, \N{SLIGHTLY SMILING FACE}'
    for name in ("first", "second"):
        write_files(tmp_path / name, tensors, {"out": torch.ones(2)}, read_passport(find_weights()))
        entry = enter_in_manifest(tmp_path, name, words, words)
    assert list_weights(tmp_path) == (find_weights("first", tmp_path), entry)
    assert [(e.default, e.description, e.licence) for e in list_weights(tmp_path)] == [
        (True, words, words),
        (False, words, words),
    ]
    torch.testing.assert_close(read_tensors(entry), tensors)
    assert count_parameters(entry) == 7  # running statistics aren't learnt
    assert read_passport(entry) == read_passport(find_weights())
    (tmp_path / "manifest.toml").write_text("[")
    with pytest.raises(WeightsError, match="can't be read"):
        enter_in_manifest(tmp_path, "third", "", "")
    assert (tmp_path / "manifest.toml").read_text() == "["


@pytest.mark.parametrize(
    "change",
    [
        {"temporal": {"foo": 1}},
        {"temporal": {"width": "a"}},
        {"temporal": {"width": -1}},
        {"temporal": {"layers": 1_000_000}},
        {"temporal": {"heads": 5}},
        {"crop": {"size": 112, "margin": 1.3, "down": 0.0}},
    ],
)
def test_a_passport_that_no_network_can_be_built_by_is_refused(copy: Path, change: dict[str, object]) -> None:
    entry = find_weights(folder=copy)
    path = entry.folder / "passport.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    entry = enter_in_manifest(copy, entry.name, entry.description, entry.licence)
    with pytest.raises(WeightsError, match=entry.name):
        load_judge(entry)


def test_a_passport_from_before_decisions_loads_and_promises_nothing(copy: Path) -> None:
    entry = find_weights(folder=copy)
    path = entry.folder / "passport.json"
    plain = json.loads(path.read_text())
    for field in ("rules", "frame_genuine", "video_genuine"):
        plain["calibration"].pop(field, None)
    path.write_text(json.dumps(plain))
    passport = read_passport(enter_in_manifest(copy, entry.name, "", ""))
    assert passport.calibration.rules == ()
    assert passport.calibration.video_genuine == GenuineScores()
    assert passport.rule(None) is None
    with pytest.raises(WeightsError, match=r"promises no error rate of 0\.01; leave the error rate out"):
        passport.rule(0.01)


def test_a_rule_is_found_by_its_rate_and_no_other_is_made_up(copy: Path) -> None:
    bands = {level: Band(0.1, 0.9) for level in ("frame", "segment", "video")}
    rules = tuple(DecisionRule(rate, note="on 99 sources", **bands) for rate in (0.01, 0.05))
    passport = read_passport(find_weights(folder=copy))
    passport = replace(passport, calibration=replace(passport.calibration, rules=rules))
    write_passport(copy / passport.name, passport)
    passport = read_passport(enter_in_manifest(copy, passport.name, "", ""))
    assert [passport.rule(rate) for rate in (0.01, 0.05, None)] == [*rules, rules[1]]
    with pytest.raises(WeightsError, match=r"no error rate of 0\.02; ask for one of 0\.01, 0\.05"):
        passport.rule(0.02)


@pytest.mark.parametrize("file", ["model.safetensors", "passport.json"])
def test_a_file_that_the_manifest_has_no_hash_of_is_refused(copy: Path, file: str) -> None:
    entry = find_weights(folder=copy)
    unlisted = replace(entry, sha256={name: digest for name, digest in entry.sha256.items() if name != file})
    with pytest.raises(WeightsError, match=re.escape(file)):
        read_tensors(unlisted) if file.endswith("safetensors") else read_passport(unlisted)
