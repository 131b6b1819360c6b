"""Cuts and dissolves are told from light, motion and the camera."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from conftest import portrait
from skimage import data
from torch import Tensor

from vidguard.faces.scene import LONGEST_BLEND, Change, SceneFinder

RATE = 8.0


def picture(name: str) -> Tensor:
    """One of scikit-image's photographs, (3, 96, 128) float, 0-255."""
    whole = torch.from_numpy(getattr(data, name)().copy()).permute(2, 0, 1)[None, :3].float()
    return F.interpolate(whole, size=[96, 128], mode="area")[0]


def look(frames: Sequence[Tensor]) -> list[tuple[Change, float | None]]:
    shown = torch.stack(list(frames)).clamp(0, 255).round().to(torch.uint8)
    return SceneFinder().push(shown, [n / RATE for n in range(len(frames))])


def changes(frames: Sequence[Tensor]) -> list[Change]:
    return [change for change, _ in look(frames)]


def test_a_join_is_a_cut_and_the_first_frame_is_none() -> None:
    found = look([picture("astronaut")] * 2 + [picture("coffee")] * 3)
    assert found == [(Change.NONE, None)] * 2 + [(Change.CUT, None)] + [(Change.NONE, None)] * 2


@pytest.mark.parametrize(
    "light",
    [
        lambda x: x * 0.3,
        lambda x: x * 0.5 + 120,
        lambda x: x * 1.8 + 70,
        lambda x: x * torch.tensor([1.0, 0.3, 0.2])[:, None, None],
        lambda x: x * torch.tensor([0.2, 0.4, 1.0])[:, None, None],
        lambda x: x * torch.linspace(0.3, 1.2, 128),
        lambda x: 255 * (x / 255) ** 0.5,
    ],
)
def test_other_light_is_no_cut(light: object) -> None:
    scene = picture("astronaut")
    assert changes([scene, light(scene), scene]) == [Change.NONE] * 3  # type: ignore[operator]


@pytest.mark.parametrize("blank", [0.0, 255.0])
def test_scenes_are_compared_across_black_and_white(blank: float) -> None:
    scene, other = picture("astronaut"), picture("coffee")
    assert changes([scene, torch.full_like(scene, blank), scene]) == [Change.NONE] * 3
    assert changes([scene, torch.full_like(scene, blank), other])[-1] is Change.CUT


@pytest.mark.parametrize("seconds", [0.4, 0.5, 1.0, 2.0])
def test_a_dissolve_is_found_from_its_first_to_its_last_mixed_frame(seconds: float) -> None:
    first, last = picture("astronaut"), picture("coffee")
    shares = [min(max((n / RATE - 1.0) / seconds, 0.0), 1.0) for n in range(int((2 + seconds) * RATE) + 1)]
    called = set[int]()
    for n, (change, since) in enumerate(look([first * (1 - a) + last * a for a in shares])):
        if since is not None:
            assert change is Change.CUT
            assert n / RATE - since <= LONGEST_BLEND
            called |= set(range(round(since * RATE), n))
    assert {n for n, a in enumerate(shares) if 0.1 < a < 0.9} <= called
    assert called <= {n for n, a in enumerate(shares) if 0 < a < 1}


def test_fades_pans_and_zooms_are_no_dissolves() -> None:
    scene = picture("astronaut")
    wide = torch.cat([scene, picture("coffee")], 2)
    fade = [scene * abs(n - 10) / 10 for n in range(21)]
    pan = [wide[:, :, 4 * n : 4 * n + 128] for n in range(32)]
    zoom = [
        F.interpolate(scene[None, :, n : 96 - n, n : 128 - n], size=[96, 128], mode="bilinear")[0] for n in range(24)
    ]
    for frames in (fade, pan, zoom):
        assert look(frames) == [(Change.NONE, None)] * len(frames)


def test_two_people_before_one_background_are_no_cut_for_the_picture_alone() -> None:
    # whose face is whose is told by the follower: see `test_follower.py`
    base = picture("coffee")
    shown = []
    for person in (1, 5):
        frame = base.clone()
        frame[:, 40:70, 50:80] = portrait(person, 30).float()
        shown.append(frame)
    assert changes(shown) == [Change.NONE] * 2
