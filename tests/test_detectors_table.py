"""The comparison of every weight set: what it measures, and the README's table of it."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small import small_store

from vidguard.training.material import Store
from vidguard.weights import list_weights

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks/accuracy"))
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    small = small_store(track=0)
    datasets = ("dfdc", "mesonet", "openforensics", "stylegan3")
    rows = [replace(row, dataset=datasets[i // 2 % 4]) for i, row in enumerate(small.rows)]
    return replace(small, rows=tuple(rows))


def test_limited_crops_are_seeded_and_of_both_classes(store: Store) -> None:
    validation = importlib.import_module("validation")
    rows = [replace(row, dataset="dfdc", label="fake" if i % 4 else "real") for i, row in enumerate(store.rows)]
    lopsided = replace(store, rows=tuple(rows))
    index, change = validation.validation_crops(lopsided, "dfdc", 4)
    assert change is None
    assert sorted(lopsided.rows[i].is_fake for i in index) == [False, False, True, True]
    assert all(lopsided.rows[i].split == "val" for i in index)
    np.testing.assert_array_equal(index, validation.validation_crops(lopsided, "dfdc", 4)[0])
    assert len(validation.validation_crops(lopsided, "dfdc", None)[0]) == 12
    assert validation.validation_crops(store, "generated", 4)[1] is not None


def test_every_set_gets_a_row_that_says_what_it_learnt_from(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = importlib.import_module("detectors")
    monkeypatch.setattr(compare, "open_store", lambda _: store)
    compare.main(work=tmp_path, out=tmp_path / "result.json", sets=None, limit=4)
    result = json.loads((tmp_path / "result.json").read_text())
    assert sorted(result["detectors"]) == sorted(entry.name for entry in list_weights())
    row = result["detectors"]["base-v1"]
    assert row["sets"]["dfdc"]["learnt_from"] == ["dfdc"]
    assert not result["detectors"]["open-v1"]["sets"]["dfdc"]["learnt_from"]
    for found in row["sets"].values():
        assert 0 <= found["auc"] <= 1
        assert 1 <= found["real"] == found["fake"] <= 2
    assert row["ms_a_face"] > 0
    for other in result["detectors"].values():
        other["kinds"] = None
    row["kinds"] = {"classes": ["genuine", "identity"], "confusion": [[3, 1], [0, 0]], "accuracy": 0.75}
    row["kinds"]["accuracy_95"] = [0.5, 0.9]
    table = importlib.import_module("tables").detectors(result)
    line, kinds = (line for line in table if line.startswith("| base-v1 "))
    assert kinds == "| base-v1 | 0.75 of 4 | – | 0.75 | 0.50–0.90 |"
    assert line.count("†") == 3 + bool(row["sets"]["generated"]["learnt_from"])
    assert f"{row['sets']['dfdc']['auc']:.3f}† (" in line
    assert len({text.count("|") for text in table if text.startswith("|")}) == 2  # of two tables
