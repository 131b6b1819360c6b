"""The arithmetic behind triage's operating points and costs, storing them, and the page that shows them."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vidguard.weights import find_weights, read_passport, read_tensors

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "benchmarks/accuracy"


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("triage_figures")


def test_a_threshold_misses_at_most_the_stated_share_and_is_the_highest_that_does(figures: ModuleType) -> None:
    rng = np.random.default_rng(0)
    for count in (1, 50, 99, 100, 101, 1500):
        scores = rng.normal(size=count)
        for misses in (0.01, 0.02):
            threshold = figures.threshold_for(scores.tolist(), misses)
            assert (scores < threshold).mean() <= misses
            higher = scores[scores > threshold]
            if len(higher):
                assert (scores < higher.min()).mean() > misses


def example(figures: ModuleType, material: str, source: str, score: float | None, **more: Any) -> Any:
    return figures.Example(material, source, **{"is_fake": True, "scores": {"net": score}, "frames": 5, **more})


def test_a_point_holds_for_every_kind_of_material(figures: ModuleType) -> None:
    videos = [example(figures, "videos", f"s{k}", float(k), found=k >= 7) for k in range(10)]
    videos += [example(figures, "videos", f"g{k}", -1.0 - k, is_fake=False) for k in range(4)]
    singles = [example(figures, "dfdc", f"d{k}", k - 2.5, frames=1) for k in range(10)]
    singles += [example(figures, "dfdc", "r", -9.0, is_fake=False, frames=1)]
    row = figures.fit_point([*videos, *singles], "net", 0.01, "fakes")
    assert row["threshold"] == -2.5  # dfdc's lowest: the videos alone would ask for 0
    assert row["materials"]["videos"]["cleared"] == 0.5
    assert row["materials"]["dfdc"]["cleared"] == 1.0
    assert row["materials"]["videos"]["missed"] == 0
    assert row["materials"]["videos"]["missed_up_to_95"] == pytest.approx(3 / 10)  # the rule of three
    found = figures.fit_point([*videos, *singles], "net", 0.01, "found")
    assert found["threshold"] == 7.0  # the lowest of the three that are flagged
    assert found["found"] == {
        "fakes": 3,
        "missed": 0,
        "fake_sources": 3,
        "missed_sources": 0,
        "missed_up_to_95": 1.0,
    }
    assert found["materials"]["videos"]["missed"] == 7


def test_what_shows_no_face_or_too_little_counts_as_not_cleared(figures: ModuleType) -> None:
    genuine = [
        example(figures, "videos", "a", None, is_fake=False),
        example(figures, "videos", "b", -5.0, is_fake=False, frames=2),
        example(figures, "videos", "c", -5.0, is_fake=False, damaged=True),
        example(figures, "videos", "d", -5.0, is_fake=False),
    ]
    row = figures.fit_point([*genuine, example(figures, "videos", "a", 0.0)], "net", 0.01, "fakes")
    assert row["materials"]["videos"]["cleared"] == 0.25
    assert row["materials"]["videos"]["no_face"] == 1


def test_the_cost_of_a_stream_by_hand(figures: ModuleType) -> None:
    costs = {
        "open_ms": 10.0,
        "hash_ms_per_mb": 0.0,
        "max_frames": 8,
        "key_frame_ms": 5.0,
        "detection_ms": 15.0,
        "encoder_ms_per_face": {"net": 5.0},
        "full_per_second_ms": 100.0,
    }
    row = {"encoder": "net", "materials": {"videos": {"cleared": 0.9, "missed": 1, "fakes": 10}}}
    seconds = 15 * 0.4 + 45 * 0.35 + 180 * 0.2 + 900 * 0.05
    found = figures.simulate(costs, row)
    assert found["triage_ms"] == 210.0
    assert found["full_ms"] == pytest.approx(100 * seconds)
    sent_on = 0.99 * 0.1 + 0.01 * 0.9
    assert found["share_of_full_cost"] == pytest.approx(210 / (100 * seconds) + sent_on, abs=1e-4)
    assert found["machines_full"] == np.ceil(250e6 * seconds * 0.1 / (86400 * 64 * 0.7))


def test_points_are_stored_in_the_weight_set_and_nothing_else_changes(figures: ModuleType, tmp_path: Path) -> None:
    script = importlib.import_module("triage")
    shutil.copytree(find_weights("base-v1").folder, tmp_path / "base-v1")
    shutil.copy(ROOT / "weights/manifest.toml", tmp_path)
    entry = find_weights("base-v1", tmp_path)
    before = read_passport(entry)
    materials = {"videos": {"genuine": 11, "fakes": 44, "sources": 11}, "dfdc": {}}
    point = {"misses": 0.01, "of": "fakes", "encoder": "fused", "threshold": -3.5, "materials": materials}
    script._store(entry, [point, {**point, "misses": 0.02, "encoder": "amtennet"}])
    after = read_passport(find_weights("base-v1", tmp_path))
    assert after.triage is not None
    assert [(p.misses, p.encoder, p.threshold) for p in after.triage.points] == [
        (0.01, None, -3.5),
        (0.02, "amtennet", -3.5),
    ]
    assert "55 validation clips of 11 sources" in after.triage.fitted_on
    assert (after.calibration, after.figures) == (before.calibration, before.figures)
    assert read_tensors(find_weights("base-v1", tmp_path))


def test_the_page_shows_the_result_files_figures() -> None:
    done = subprocess.run([sys.executable, str(SCRIPTS / "triage_page.py"), "--check"], check=False)
    assert done.returncode == 0, "run python benchmarks/accuracy/triage_page.py"
    result = json.loads((SCRIPTS / "results/triage.json").read_text())
    page = (ROOT / "docs/triage.md").read_text()
    for point in result["points"]:
        assert f"{point['threshold']:.2f}" in page
        assert f"{point['simulation']['machines_with_triage']:,}" in page
