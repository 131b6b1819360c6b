"""Weight sets of others: refused where they make no sense, by one error, without waiting or filling memory."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from vidguard.cli.about import _number
from vidguard.detector import load_judge
from vidguard.errors import WeightsError
from vidguard.scoring.calibration import Platt
from vidguard.weights import WeightEntry, enter_in_manifest, find_weights, list_weights, read_passport, weights_folder

SMALL = "meso4-kind"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with one small set, and another that nothing is wrong with."""
    for name in (SMALL, "spectrum-lr"):
        shutil.copytree(weights_folder() / name, tmp_path / name)
        enter_in_manifest(tmp_path, name, "", "")
    return tmp_path


def entered(folder: Path) -> WeightEntry:
    """The set as its maker would have entered it."""
    return enter_in_manifest(folder, SMALL, "", "")


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


PASSPORTS: dict[str, dict[str, Any]] = {
    "no encoder": {"encoders": []},
    "an encoder twice": {"encoders": ["meso4", "meso4"]},
    "a thousand encoders": {"encoders": [f"meso{i}" for i in range(1000)]},
    "no rate": {"frames_per_second": 0.0},
    "endless rate": {"frames_per_second": 1e9},
    "threshold beyond one": {"calibration": {"video_threshold": 1e9}},
    "threshold below nothing": {"calibration": {"segment_threshold": -1.0}},
    "endless slope": {"calibration": {"frame": {"slope": 1e300, "offset": 0.0}}},
    "slope down": {"calibration": {"frame": {"slope": -1.0, "offset": 0.0}}},
    "genuine scores far away": {"calibration": {"frame_genuine": {"logits": [0.0, 1e300]}}},
    "key frames without end": {"triage": {"max_frames": 10**9, "points": [], "fitted_on": ""}},
    "wide transformer": {"temporal": {"width": 10**9}},
    "kind twice": {"kinds": ["identity", "identity"]},
    "figures in one another": {"figures": nested(60)},
    "figures of endless digits": {"figures": {"cost": 10**400}},
}


@pytest.mark.parametrize("name", PASSPORTS)
def test_a_passport_that_makes_no_sense_is_refused_and_hides_no_other(mine: Path, name: str) -> None:
    path = mine / SMALL / "passport.json"
    plain = json.loads(path.read_text())
    for key, value in PASSPORTS[name].items():
        plain[key] = {**plain[key], **value} if key == "calibration" else value
    path.write_text(json.dumps(plain))
    with pytest.raises(WeightsError):
        read_passport(entered(mine))
    assert [entry.name for entry in list_weights(mine)] == [SMALL, "spectrum-lr"]
    assert read_passport(find_weights("spectrum-lr", mine)).name == "spectrum-lr"


TENSORS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "none": lambda t: torch.full_like(t, math.nan),
    "infinite": lambda t: torch.full_like(t, -math.inf),
    "yes or no": lambda t: t > 0,
    "whole": lambda t: t.to(torch.int64),
    "complex": lambda t: t.to(torch.complex64),
    "of another shape": lambda t: t.repeat(2),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_answer_nothing_are_refused(mine: Path, name: str) -> None:
    path = mine / SMALL / "model.safetensors"
    tensors = load_file(path)
    tensors["fusion.bias"] = TENSORS[name](tensors["fusion.bias"].float())
    save_file(tensors, path)
    with pytest.raises(WeightsError):
        load_judge(entered(mine))


def test_weights_that_overflow_are_told_and_give_no_report() -> None:
    for logit in (math.nan, math.inf, -math.inf):
        with pytest.raises(WeightsError, match="gave no number"):
            Platt(1.0, 0.0)(logit)


@pytest.mark.skipif(os.name == "nt", reason="links and pipes as POSIX has them")
@pytest.mark.parametrize("file", ["passport.json", "model.safetensors"])
def test_links_to_devices_and_pipes_are_not_read(mine: Path, file: str) -> None:
    path, entry = mine / SMALL / file, find_weights(SMALL, mine)
    for spoil in (lambda: path.symlink_to("/dev/zero"), lambda: os.mkfifo(path)):
        path.unlink()
        spoil()
        with pytest.raises(WeightsError, match="not a regular file"):
            load_judge(entry)
    (mine / "manifest.toml").unlink()
    os.mkfifo(mine / "manifest.toml")
    with pytest.raises(WeightsError, match="not a regular file"):
        list_weights(mine)


@pytest.mark.parametrize("text", ["[" * 9999, "weights = " + "[" * 9999, "a." * 999 + "b = 1", "\0", "weights = []"])
def test_a_manifest_that_is_none_is_refused(mine: Path, text: str) -> None:
    (mine / "manifest.toml").write_text(text)
    with pytest.raises(WeightsError, match="can't be read"):
        list_weights(mine)


def test_a_cost_is_shown_where_it_can_be_one() -> None:
    values = (0, 12.5, 1e300, 10**4000, -1, math.nan, math.inf, True, "12", None)
    assert [_number(value) for value in values] == [0, 12.5, *[None] * 8]
