"""Corruptions do what they say to a real file, and the robustness benchmark asks about every level."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import face_clip

from vidguard.config import FaceConfig
from vidguard.errors import InputError
from vidguard.faces import FaceDetector
from vidguard.protocols.corruptions import CORRUPTIONS, timed_images
from vidguard.protocols.files import read_scores
from vidguard.protocols.items import Item, Listing
from vidguard.protocols.protocol import DEEPFAKEBENCH, Protocol
from vidguard.protocols.robustness import measure_robustness
from vidguard.protocols.scores import Score
from vidguard.video import write_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 s of moving, textured pictures of mean 120."""
    rng = np.random.default_rng(0)
    texture = rng.normal(120, 30, (120, 200, 3)).clip(0, 255).astype(np.uint8)
    target = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(target, ((np.ascontiguousarray(texture[:96, k : k + 128]), k / 10) for k in range(20)), crf=8)
    return target


def corrupted(clip: Path, folder: Path, name: str, level: float) -> list[tuple[np.ndarray[Any, Any], float]]:
    corruption = next(c for c in CORRUPTIONS if c.name == name)
    corruption.write(clip, folder / "out.mp4", level)
    return list(timed_images(folder / "out.mp4"))


def error(a: list[Any], b: list[Any]) -> float:
    return float(np.mean([np.abs(x[0].astype(float) - y[0]).mean() for x, y in zip(a, b)]))


@pytest.mark.parametrize("name", ["compression", "jpeg", "blur", "noise", "brightness", "re-encoding"])
def test_a_higher_level_is_further_from_the_original(clip: Path, tmp_path: Path, name: str) -> None:
    levels = next(c for c in CORRUPTIONS if c.name == name).levels
    original = list(timed_images(clip))
    errors = [error(original, corrupted(clip, tmp_path, name, level)) for level in (levels[0], levels[-1])]
    assert 0.5 < errors[0] < errors[1]


def test_resizing_frame_drop_and_brightness_are_what_they_are_called(clip: Path, tmp_path: Path) -> None:
    assert corrupted(clip, tmp_path, "resize", 0.5)[0][0].shape == (48, 64, 3)
    kept = corrupted(clip, tmp_path, "frame-drop", 0.5)
    assert 4 <= len(kept) <= 16
    times = [t for _, t in timed_images(clip)]
    assert all(min(abs(t - other) for other in times) < 1e-3 for _, t in kept)  # the others keep their times
    dark = corrupted(clip, tmp_path, "brightness", 0.5)
    assert np.mean([image.mean() for image, _ in dark]) == pytest.approx(60, abs=4)


def test_faces_get_the_size_asked_for(tmp_path: Path) -> None:
    corrupted(face_clip(tmp_path / "face.mp4", seconds=0.5), tmp_path, "face-size", 48)
    picture = next(timed_images(tmp_path / "out.mp4"))[0]
    found = FaceDetector(FaceConfig()).detect(torch.from_numpy(picture).permute(2, 0, 1)[None])[0]
    assert float(found.boxes_xyxy_px[0, 2] - found.boxes_xyxy_px[0, 0]) == pytest.approx(48, abs=6)


class Sharpness:
    """Calls fine texture fake, so blur blinds it."""

    def describe(self) -> dict[str, Any]:
        return {
            "name": "sharpness",
            "sha256": None,
            **dict.fromkeys(("threshold", "segment_threshold", "frame_threshold"), 0.5),
        }

    def score(self, item: Item, protocol: Protocol) -> Score:
        image = next(timed_images(item.path))[0].astype(float)
        edges = float(np.abs(np.diff(image, axis=1)).mean())
        return Score(item.id, min(edges / 50, 1.0), "ok", 0.0)

    def thumbnail(self, item: Item) -> bytes | None:
        return None


def test_every_level_is_measured_on_corrupted_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    items = []
    for k in range(6):
        sigma = 20 if k % 2 else 15
        image = rng.normal(120, sigma, (64, 64, 3)).clip(0, 255).astype(np.uint8)
        write_video(tmp_path / f"{k}.mp4", [(image, 0.0), (image, 0.1)], crf=5)
        items.append(Item(f"{k}.mp4", tmp_path / f"{k}.mp4", k % 2 == 1, "m", f"{k}"))
    listing = Listing("texture", "all", tuple(items), tmp_path)
    table = measure_robustness(
        listing, partial(Sharpness), DEEPFAKEBENCH, tmp_path / "out", corruptions=["blur"], workers=1
    )
    assert [row.level for row in table.rows] == ["", "1", "2", "4"]
    assert table.rows[0].figures.auc is not None
    assert table.rows[0].figures.auc.value == 1.0
    clean, blurred = (read_scores(tmp_path / "out" / name / "videos.csv") for name in ("none", "blur-4"))
    for before, after in zip(clean, blurred):
        assert before.score.fake_prob is not None
        assert after.score.fake_prob is not None
        assert after.score.fake_prob < 0.7 * before.score.fake_prob
    page = (tmp_path / "out" / "robustness.html").read_text()
    assert "<svg" in page
    assert "| blur | 4" in (tmp_path / "out" / "robustness.md").read_text()
    with pytest.raises(InputError, match="re-encoding"):
        measure_robustness(listing, Sharpness, DEEPFAKEBENCH, tmp_path / "x", corruptions=["blurr"], workers=1)
