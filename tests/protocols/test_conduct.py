"""From a data set on disk to its figures: they equal what a few independent lines work out from the score files."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from miniature import make_dfdc, make_ffpp

from vidguard.errors import InputError
from vidguard.protocols.conduct import compare_results, conduct
from vidguard.protocols.files import read_scores
from vidguard.protocols.items import Item, Listing
from vidguard.protocols.layouts import LAYOUTS, LayoutOptions
from vidguard.protocols.protocol import DEEPFAKEBENCH, DFDC, Protocol
from vidguard.protocols.result import Result
from vidguard.protocols.scores import FrameScore, Score

EPSILON = 2.0**-52  # what probabilities are clipped to where a protocol names no range, as in scikit-learn


@dataclass
class Noisy:
    """Answers with a fixed noise by the item's id, fakes a little higher; every seventh item has no face."""

    strength: float = 0.15
    skill: str = ""

    def describe(self) -> dict[str, Any]:
        thresholds = {"threshold": 0.6, "segment_threshold": 0.6, "frame_threshold": 0.6}
        return {"name": f"noisy {self.skill}", "sha256": None, **thresholds}

    def score(self, item: Item, protocol: Protocol) -> Score:
        digest = hashlib.sha256((self.skill + item.id).encode()).digest()
        if digest[1] % 7 == 0:
            return Score(item.id, None, "no_face", 0.1)
        frames = tuple(
            FrameScore(
                0, float(k), min(max((byte / 255) * (1 - self.strength) + self.strength * item.is_fake, 0.0), 1.0)
            )
            for k, byte in enumerate(digest[2:6])
        )
        certain = digest[6] % 5 == 0  # a few certain answers, right and wrong ones: only clipping makes them bearable
        fake_prob = float(digest[7] % 2) if certain else float(np.mean([f.fake_prob for f in frames]))
        return Score(item.id, fake_prob, "ok", 0.1, "", frames)

    def thumbnail(self, item: Item) -> bytes | None:
        return None


def measured(listing: Listing, out: Path, protocol: Protocol = DEEPFAKEBENCH, skill: str = "") -> Result:
    return conduct(listing, partial(Noisy, 0.15, skill), protocol, out, workers=1).result


def rows_of(out: Path, name: str = "videos.csv") -> list[dict[str, str]]:
    with (out / name).open(newline="") as file:
        return list(csv.DictReader(file))


def slow_auc(reals: list[float], fakes: list[float]) -> float:
    wins = sum((f > r) + 0.5 * (f == r) for f in fakes for r in reals)
    return wins / (len(reals) * len(fakes))


def check(figures: Any, rows: list[dict[str, str]], threshold: float, clip: tuple[float, float]) -> None:
    """Every figure again, from the rows of the score file alone."""
    decided = [(r["label"] == "fake", float(r["fake_prob"])) for r in rows if r["fake_prob"]]
    reals, fakes = [p for f, p in decided if not f], [p for f, p in decided if f]
    assert figures.no_decision == len(rows) - len(decided)
    assert figures.auc.value == pytest.approx(slow_auc(reals, fakes))
    assert figures.auc.low <= figures.auc.value <= figures.auc.high
    right = [(p >= threshold) == f for f, p in decided]
    assert figures.accuracy == pytest.approx(sum(right) / len(right))
    hits, alarms = sum(p >= threshold for p in fakes), sum(p >= threshold for p in reals)
    balanced = (hits / len(fakes) + 1 - alarms / len(reals)) / 2
    assert figures.balanced_accuracy == pytest.approx(balanced)
    if hits + alarms:
        assert figures.weighted_precision == pytest.approx(hits / (hits + 100 * alarms))
    clipped = [(f, min(max(p, clip[0]), clip[1])) for f, p in decided]
    loss = -sum(math.log(p) if f else math.log(1 - p) for f, p in clipped) / len(clipped)
    assert figures.log_loss == pytest.approx(loss)
    strict = max(
        sum(p >= t for p in fakes) for t in [*reals, *fakes, 2.0] if sum(p >= t for p in reals) <= 0.05 * len(reals)
    )
    assert figures.tpr_at_fpr_5 == pytest.approx(strict / len(fakes))


def test_ffpp_figures_equal_an_independent_computation(tmp_path: Path) -> None:
    make_ffpp(tmp_path / "data")
    listing = LAYOUTS["ffpp"](tmp_path / "data", LayoutOptions("all"))
    result = measured(listing, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert len(rows) == len({r["id"] for r in rows}) == len(listing.items)
    check(result.pooled, rows, 0.5, (EPSILON, 1 - EPSILON))
    for method in {r["method"] for r in rows if r["label"] == "fake"}:
        group = [r for r in rows if r["label"] == "real" or r["method"] == method]
        assert result.figures[f"method:{method}"].items == len(group)
        check(result.figures[f"method:{method}"], group, 0.5, (EPSILON, 1 - EPSILON))
    frames = rows_of(tmp_path / "out", "frames.csv")
    truth = {r["id"]: r["label"] for r in rows}
    split = {label: [float(f["fake_prob"]) for f in frames if truth[f["id"]] == label] for label in ("real", "fake")}
    assert result.frame_figures["pooled"].auc is not None
    assert result.frame_figures["pooled"].auc.value == pytest.approx(slow_auc(split["real"], split["fake"]))


def test_dfdc_log_loss_is_clipped_as_in_the_competition(tmp_path: Path) -> None:
    make_dfdc(tmp_path / "data")
    listing = LAYOUTS["dfdc"](tmp_path / "data", LayoutOptions("all"))
    result = measured(listing, tmp_path / "out", DFDC)
    check(result.pooled, rows_of(tmp_path / "out"), 0.5, (0.01, 0.99))
    assert result.protocol["name"] == "dfdc"


def test_no_decision_is_counted_and_never_a_half(tmp_path: Path) -> None:
    listing = Listing(
        "d", "s", tuple(Item(f"{k}", Path(f"{k}.mp4"), k % 2 == 0, "m", f"{k}") for k in range(60)), tmp_path
    )
    result = measured(listing, tmp_path)
    assert result.pooled.no_decision > 0
    assert result.pooled.items == 60
    undecided = [r for r in rows_of(tmp_path) if r["status"] == "no_face"]
    assert len(undecided) == result.pooled.no_decision
    assert {r["fake_prob"] for r in undecided} == {""}
    assert result.pooled.auc is not None
    assert result.pooled.auc_bounds is not None
    low, high = result.pooled.auc_bounds
    assert low < result.pooled.auc.value < high


def test_two_detectors_are_compared_on_what_both_decided(tmp_path: Path) -> None:
    listing = Listing(
        "d", "s", tuple(Item(f"{k}", Path(f"{k}.mp4"), k % 2 == 0, "m", f"{k}") for k in range(80)), tmp_path
    )
    measured(listing, tmp_path / "a", skill="a")
    measured(listing, tmp_path / "b", skill="b")
    first, second, comparison = compare_results(
        tmp_path / "a" / "result.json", tmp_path / "b" / "result.json", tmp_path / "c"
    )
    both = [
        (x, y)
        for x, y in zip(read_scores(tmp_path / "a" / "videos.csv"), read_scores(tmp_path / "b" / "videos.csv"))
        if x.score.fake_prob is not None and y.score.fake_prob is not None
    ]
    assert comparison.real + comparison.fake == len(both) < 80
    assert comparison.difference.value == pytest.approx(comparison.auc_a - comparison.auc_b)
    assert first.detector.name != second.detector.name
    assert "<html" in (tmp_path / "c" / "comparison.html").read_text()


def test_results_name_their_protocol_and_where_they_come_from(tmp_path: Path) -> None:
    listing = Listing(
        "d", "s", tuple(Item(f"{k}", Path(f"{k}.mp4"), k % 2 == 0, "m", f"{k}") for k in range(20)), tmp_path, ("x",)
    )
    result = measured(listing, tmp_path)
    told = json.loads((tmp_path / "result.json").read_text())
    assert told["protocol"]["num_frames"] == 32
    assert told["coverage"]["missing"] == ["x"]
    assert {"commit", "vidguard", "torch", "machine", "seed"} <= set(told["environment"])
    assert Result.from_json((tmp_path / "result.json").read_bytes()) == result
    with pytest.raises(InputError, match="protocol"):
        measured(listing, tmp_path, DFDC)


def test_scores_of_another_copy_are_not_taken_over(tmp_path: Path) -> None:
    here, there = (
        Listing("d", "s", tuple(Item(f"{k}", tmp_path / f"{k}.mp4", k % 2 == 0, "m", f"{k}") for k in range(8)), root)
        for root in (tmp_path / "here", tmp_path / "there")
    )
    measured(here, tmp_path / "out")
    with pytest.raises(InputError, match="root"):
        measured(there, tmp_path / "out")


def test_score_files_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    listing = Listing(
        "d", "s", tuple(Item(f"{k}", Path(f"{k}.mp4"), k % 2 == 0, "m", f"{k}") for k in range(20)), tmp_path
    )
    for name in ("a", "b"):
        measured(listing, tmp_path / name)
    path = tmp_path / "b" / "videos.csv"
    written = path.read_text()
    turned = written.replace(",real,", ",x,").replace(",fake,", ",real,").replace(",x,", ",fake,")
    results = (tmp_path / "a" / "result.json", tmp_path / "b" / "result.json", None)
    for text, why in [
        (turned, "genuine by one"),
        (written + written.splitlines()[-1] + "\n", "several rows"),
        (written.replace(",real,", ",0,"), "disagree"),
        ("id,label\na,real\n", "columns"),
    ]:
        path.write_text(text)
        with pytest.raises(InputError, match=why):
            compare_results(*results)


def test_a_name_that_cant_be_written_is_refused_before_the_work() -> None:
    with pytest.raises(InputError, match="rename"):
        Listing("d", "s", (Item("a\udcff.mp4", Path("a"), False, "m", "a"),), Path())
