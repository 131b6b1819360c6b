"""Attribute edits: each changes what it says, where it says, and nothing else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from portraits import PICTURE, POINTS

from vidguard.errors import InputError
from vidguard.forge import ATTRIBUTES, edit_attribute

# large enough for irises of several pixels
LARGE = cv2.resize(PICTURE, None, fx=2.0, fy=2.0, interpolation=cv2.INTER_CUBIC)
LARGE_POINTS = (POINTS + 0.5) * 2 - 0.5
HAIR, CHEEK, WALL = (np.s_[40:80, 250:330], np.s_[238:256, 212:230], np.s_[10:60, 10:60])


def edit(name: str, seed: int = 0, strength: float = 1.0, **more: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return edit_attribute(name, LARGE, LARGE_POINTS, strength=strength, rng=rng, **more)


def lab(picture: np.ndarray) -> np.ndarray:
    """CIE Lab by scikit-image, not by the code under test."""
    from skimage.color import rgb2lab

    return rgb2lab(picture)


def fine(picture: np.ndarray, where: object) -> float:
    """Spread of the lightness finer than about 4 px."""
    lightness = lab(picture)[..., 0]
    return float((lightness - cv2.GaussianBlur(lightness, (0, 0), 4.0))[where].std())


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_edit_stays_inside_its_mask_on_the_face_and_follows_from_its_draws(name: str) -> None:
    edited, mask = edit(name)
    np.testing.assert_array_equal(edited, edit(name)[0])
    assert (edited != edit(name, seed=1)[0]).any()
    np.testing.assert_array_equal(edited[mask == 0], LARGE[mask == 0])
    assert (edited != LARGE).any()
    assert 0 <= mask.min() <= mask.max() <= 1
    ys, xs = np.nonzero(mask > 0.5)
    assert xs.min() > LARGE_POINTS[:, 0].min() - 60
    assert xs.max() < LARGE_POINTS[:, 0].max() + 60
    assert ys.max() < LARGE_POINTS[:, 1].max() + 60
    for elsewhere in (HAIR, WALL):
        assert mask[elsewhere].max() < 0.15


@pytest.mark.parametrize("name", ["smooth skin", "older skin", "skin tone", "lip color", "eye color"])
def test_strength_scales_an_edit(name: str) -> None:
    sizes = [np.abs(edit(name, strength=s)[0].astype(int) - LARGE).mean() for s in (0.0, 0.4, 1.0)]
    # the smoothing filter's floor still rounds a little at no strength, Lab and back by half a level
    assert sizes[0] < 0.15 * sizes[2]
    assert sizes[0] < sizes[1] < sizes[2]


def test_smooth_skin_loses_its_texture_and_older_skin_gains_some() -> None:
    before = fine(LARGE, CHEEK)
    assert fine(edit("smooth skin")[0], CHEEK) < 0.7 * before
    assert fine(edit("older skin")[0], CHEEK) > 1.2 * before


def test_skin_tone_changes_the_colour_evenly() -> None:
    difference = lab(edit("skin tone")[0])[CHEEK] - lab(LARGE)[CHEEK]
    assert np.abs(difference.mean((0, 1))).max() > 4
    assert difference.std((0, 1)).max() < 2


def test_lips_change_hue_and_the_cheek_doesnt() -> None:
    edited, mask = edit("lip color")
    lower_lip = np.s_[301:308, 244:262]
    assert mask[lower_lip].mean() > 0.3
    difference = np.abs(lab(edited) - lab(LARGE))[..., 1:].max(2)
    assert difference[lower_lip].mean() > 4
    np.testing.assert_array_equal(edited[CHEEK], LARGE[CHEEK])


def test_irises_change_and_the_eyes_surroundings_dont() -> None:
    edited, mask = edit("eye color")
    ys, xs = np.nonzero(mask > 0.5)
    iod = float(np.hypot(*(LARGE_POINTS[1] - LARGE_POINTS[0])))
    for x, y in LARGE_POINTS[:2]:
        near = np.hypot(xs - x, ys - y) < 0.15 * iod
        assert 20 < near.sum() < np.pi * (0.12 * iod) ** 2
    distance = np.min([np.hypot(xs - x, ys - y) for x, y in LARGE_POINTS[:2]], axis=0)
    assert distance.max() < 0.22 * iod
    change = np.abs(lab(edited) - lab(LARGE))[..., 1:].max(2)
    assert change[mask > 0.8].mean() > 8


def test_a_full_mesh_gives_the_outlines_and_another_one_is_ignored() -> None:
    mesh = np.tile(LARGE_POINTS[2], (468, 1)).astype(np.float32)
    lips = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
    around = np.linspace(0, 2 * np.pi, len(lips), endpoint=False)
    # the mesh says that the lips are a disc of 14 px on the left cheek
    mesh[list(lips)] = np.array([221, 247]) + 14 * np.stack([np.cos(around), np.sin(around)], axis=1)
    _, mask = edit("lip color", mesh=mesh)
    ys, xs = np.nonzero(mask > 0.3)
    assert np.hypot(xs - 221, ys - 247).max() < 16
    assert len(xs) > 0.6 * np.pi * 14**2
    for other in (mesh[:81], None):
        np.testing.assert_array_equal(edit("lip color", mesh=other)[0], edit("lip color")[0])


def test_what_is_no_face_is_refused() -> None:
    with pytest.raises(InputError, match="uint8"):
        edit_attribute("skin tone", LARGE.astype(float), POINTS, strength=1, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="outside"):
        edit_attribute("skin tone", LARGE, POINTS + 5000, strength=1, rng=np.random.default_rng(0))
