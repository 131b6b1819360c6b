"""The runner: every item once, a run goes on where it stopped, and a file that kills its process takes none along."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from vidguard.errors import InputError
from vidguard.protocols.items import Item
from vidguard.protocols.protocol import DEEPFAKEBENCH, Protocol
from vidguard.protocols.run import Ledger, run
from vidguard.protocols.scores import Score


@dataclass
class Scripted:
    """Answers by the item's name; "kill" ends the process as a crash does. Keeps a list of what it was asked."""

    asked: Path

    def describe(self) -> dict[str, Any]:
        return {"name": "scripted", "sha256": None, "threshold": 0.5}

    def score(self, item: Item, protocol: Protocol) -> Score:
        with self.asked.open("a") as file:
            file.write(item.id + "\n")
        if "kill" in item.id:
            os._exit(1)
        if "defect" in item.id:
            raise RuntimeError("tensor trouble")
        if "faceless" in item.id:
            return Score(item.id, None, "no_face", 0.0)
        return Score(item.id, 0.75, "ok", 0.0)

    def thumbnail(self, item: Item) -> bytes | None:
        return None


def items(*names: str) -> list[Item]:
    return [Item(name, Path(name), False, "m", name) for name in names]


def scored(asked: Path, ledger: Ledger, chosen: Sequence[Item], workers: int = 1) -> list[Score]:
    return list(run(chosen, partial(Scripted, asked), DEEPFAKEBENCH, ledger, workers=workers))


def test_a_stopped_run_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    asked, path = tmp_path / "asked", tmp_path / "ledger.jsonl"
    scored(asked, Ledger(path, {"run": 1}), items("a", "faceless"))
    with path.open("a") as file:
        file.write('{"id": "b", "fake_pr')  # the power went while this was written
    ledger = Ledger(path, {"run": 1})
    assert ledger.scores["faceless"].fake_prob is None
    scored(asked, ledger, items("a", "faceless", "b"))
    assert asked.read_text().split() == ["a", "faceless", "b"]
    assert set(Ledger(path, {"run": 1}).scores) == {"a", "b", "faceless"}


def test_scores_of_two_runs_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    Ledger(path, {"protocol": "one", "sha256": "x"})
    with pytest.raises(InputError, match="protocol"):
        Ledger(path, {"protocol": "two", "sha256": "x"})
    path.write_text("not json\n")
    with pytest.raises(InputError, match="not a ledger"):
        Ledger(path, {})


def test_a_file_that_kills_its_process_is_found_out_alone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl", {})
    found = scored(tmp_path / "asked", ledger, items("a", "defect", "kill", "c", "d"), workers=2)
    assert sorted(s.id for s in found) == ["a", "c", "d", "defect", "kill"]
    assert {s.id: s.status for s in found if s.status != "ok"} == {"kill": "error", "defect": "error"}
    assert "tensor trouble" in ledger.scores["defect"].detail
    assert ledger.scores["kill"].fake_prob is None


def test_a_score_is_a_probability_or_absent() -> None:
    for fake_prob, status in [(0.5, "no_face"), (None, "ok"), (1.5, "ok"), (float("nan"), "ok")]:
        with pytest.raises(InputError):
            Score("a", fake_prob, status, 0.0)
