"""Partial forgeries: the truth that is written down is where the pictures differ."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from clips import FPS, empty_clip, face_clip

from vidguard.errors import InputError
from vidguard.protocols.corruptions import timed_images
from vidguard.protocols.items import Item
from vidguard.protocols.measure import frame_figures, segment_figures
from vidguard.protocols.partial import forge_clips
from vidguard.protocols.protocol import VIDGUARD
from vidguard.protocols.result import ScoredItem
from vidguard.protocols.scores import FrameScore, Score, SegmentScore


def test_the_truth_is_where_the_pictures_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Both copies are coded without loss: otherwise the forged frames' loss reaches their neighbours, by an amount that
    # depends on the encoder's threads.
    monkeypatch.setattr("vidguard.protocols.partial._CRF", (0, 1))
    (tmp_path / "in").mkdir()
    face_clip(tmp_path / "in" / "face.mp4")
    empty_clip(tmp_path / "in" / "nobody.mp4")
    listing = forge_clips(tmp_path / "in", tmp_path / "out", seed=3)
    genuine, forged = listing.items
    assert (genuine.is_fake, forged.is_fake) == (False, True)
    assert genuine.source == forged.source
    assert genuine.forged == ()
    assert forged.forged is not None
    ((start, end),) = forged.forged
    assert 0 <= start < end <= 3.0 + 1 / FPS
    assert end - start >= 0.4
    differs = [
        (time, float(np.abs(a.astype(float) - b).mean()))
        for (a, time), (b, _) in zip(timed_images(genuine.path), timed_images(forged.path))
    ]
    tick = 0.001  # of the container's clock: the truth is rounded otherwise than the frames' times
    inside = [d for t, d in differs if start - tick <= t < end - tick]
    outside = [d for t, d in differs if not start - tick <= t < end - tick]
    assert len(inside) + len(outside) == 3 * FPS
    assert min(inside) > 0.1
    assert max(outside) == 0
    assert [n for n in listing.notes if "nobody.mp4" in n and "no face" in n]
    rows = list(csv.DictReader((tmp_path / "out" / "clips.csv").open()))
    assert [float(rows[1]["forged_start"]), float(rows[1]["forged_end"])] == [start, end]
    again = forge_clips(tmp_path / "in", tmp_path / "again", seed=3)
    assert again.items[1].forged == forged.forged


def test_a_folder_without_faces_is_refused(tmp_path: Path) -> None:
    empty_clip(tmp_path / "nobody.mp4")
    with pytest.raises(InputError, match="face"):
        forge_clips(tmp_path, tmp_path / "out", seed=0)


def test_a_frame_beside_the_forged_stretch_is_genuine() -> None:
    item = Item("a", Path("a"), True, "m", "a", forged=((1.0, 2.0),))
    frames = tuple(FrameScore(0, time, 0.9 if time == 1.5 else 0.1) for time in (0.5, 1.5, 2.5))
    figures = frame_figures([ScoredItem(item, Score("a", 0.4, "ok", 0.0, "", frames))], VIDGUARD, 0.5)["pooled"]
    assert (figures.real, figures.fake) == (2, 1)
    assert figures.auc is not None
    assert (figures.auc.value, figures.auc.low) == (1.0, None)  # one source says nothing of others


def test_localisation_figures_are_those_of_known_segments() -> None:
    def scored(name: str, forged: tuple[tuple[float, float], ...], probabilities: list[float]) -> ScoredItem:
        item = Item(name, Path(name), bool(forged), "m", name, forged=forged)
        segments = tuple(SegmentScore(0, float(k), k + 1.0, p) for k, p in enumerate(probabilities))
        return ScoredItem(item, Score(name, max(probabilities), "ok", 0.0, "", (), segments))

    found = segment_figures(
        [
            scored("right", ((2.0, 4.0),), [0.1, 0.2, 0.9, 0.8, 0.3]),
            scored("late", ((0.0, 2.0),), [0.2, 0.9, 0.1, 0.1, 0.1]),
            scored("genuine", (), [0.1, 0.1, 0.7, 0.1, 0.1]),
        ],
        0.5,
    )
    assert found is not None
    assert found.precision == pytest.approx(2 / 3)  # two stretches found right, one in a genuine clip
    assert found.recall == 1.0
    assert found.temporal_iou == pytest.approx((1.0 + 0.5) / 2)
    assert found.start_error_seconds == pytest.approx(0.5)
    assert found.end_error_seconds == 0.0
    fakes, reals = [0.9, 0.8, 0.2, 0.9], [0.1, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.7, 0.1, 0.1]
    wins = sum((f > r) + 0.5 * (f == r) for f in fakes for r in reals) / (len(fakes) * len(reals))
    assert found.auc is not None
    assert found.auc.value == pytest.approx(wins)
