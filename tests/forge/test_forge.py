"""The forge: what it changes, what it leaves alone, and that a seed fixes everything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from portraits import PICTURE, POINTS

from vidguard.errors import InputError
from vidguard.forge import (
    REGIONS,
    aligned_donor,
    forge_face,
    forge_stretch,
    h264,
    jpeg,
    region_outline,
    sample_degradation,
    sample_recipe,
    soft_mask,
)


def recipe(seed: int = 0, **changes: object):
    return replace(sample_recipe(np.random.default_rng(seed)), **changes)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_nothing_changes_outside_the_mask_and_a_seed_fixes_the_rest(seed: int) -> None:
    chosen = recipe(seed, soften_target=False)
    forged, mask = forge_face(PICTURE, POINTS, chosen)
    again, _ = forge_face(PICTURE, POINTS, chosen)
    assert forged.dtype == np.uint8
    assert forged.shape == PICTURE.shape
    assert mask.min() >= 0
    assert mask.max() <= 1
    np.testing.assert_array_equal(forged, again)
    np.testing.assert_array_equal(forged[mask == 0], PICTURE[mask == 0])


def test_the_forgery_is_on_the_face() -> None:
    forged, mask = forge_face(PICTURE, POINTS, recipe(region="face", opacity=1.0, offset=(30.0, 0.0, -30.0)))
    nose = POINTS[2].astype(int)
    assert mask[nose[1], nose[0]] > 0.9
    changed = np.abs(forged.astype(int) - PICTURE).max(2) > 8
    _, xs = np.nonzero(changed)
    assert abs(xs.mean() - POINTS[:, 0].mean()) < 20
    assert changed.mean() < 0.25


@pytest.mark.parametrize("region", REGIONS)
def test_masks_follow_the_landmarks_and_soften_without_growing(region: str) -> None:
    def masked(points: np.ndarray, softness: float) -> np.ndarray:
        outline = region_outline(points, region)
        return soft_mask((256, 256), outline, points, deform=0.0, softness=softness, rng=np.random.default_rng(0))

    mask, moved = masked(POINTS, 0.05), masked(POINTS + 20, 0.05)
    np.testing.assert_allclose(moved[40:220, 40:220], mask[20:200, 20:200], atol=0.02)
    soft = masked(POINTS, 0.3)
    assert soft.sum() == pytest.approx(mask.sum(), rel=0.02)


def test_a_donor_brings_its_own_face_in_the_targets_colours() -> None:
    stripes = PICTURE.copy()
    stripes[::8] = 0  # a donor that is easy to recognise
    plain = recipe(
        region="face", opacity=1.0, detail=1.0, softness=0.03, gain=(1.0,) * 3, offset=(0.0,) * 3, color_match=1.0
    )
    source = aligned_donor(stripes, POINTS, (256, 256), POINTS)
    forged, mask = forge_face(PICTURE, POINTS, plain, source=source)
    inside = mask > 0.95
    assert np.abs(forged.astype(int) - PICTURE)[inside].mean() > 10
    np.testing.assert_allclose(forged[inside].mean(0), PICTURE[inside].mean(0), atol=8)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="uint8"):
        forge_face(PICTURE.astype(np.float32), POINTS, recipe())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="finite"):
        forge_face(PICTURE, np.full((5, 2), np.nan, np.float32), recipe())
    with pytest.raises(InputError, match="outside"):
        forge_face(PICTURE, POINTS + 5000, recipe())
    with pytest.raises(InputError, match="shape"):
        forge_face(PICTURE, POINTS, recipe(), source=PICTURE[1:].astype(np.float32))
    with pytest.raises(InputError, match="region"):
        recipe(region="elbow")


def test_a_stretch_is_unsteady_by_its_jitter_and_skips_unseen_faces() -> None:
    frames, points = [PICTURE] * 6, [POINTS, POINTS, None, POINTS, POINTS, POINTS]
    steady = forge_stretch(frames, points, recipe(), jitter=0.0, rng=np.random.default_rng(0))
    shaky = forge_stretch(frames, points, recipe(), jitter=0.03, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(steady[0], steady[5])
    assert (shaky[0] != shaky[5]).any()
    np.testing.assert_array_equal(steady[2], PICTURE)


def test_pixels_outside_the_mask_change_only_where_the_surroundings_are_softened() -> None:
    for softened in (False, True):
        forged, mask = forge_face(PICTURE, POINTS, recipe(soften_target=softened, detail=0.5))
        assert (forged != PICTURE)[mask == 0].any() == softened


@pytest.mark.parametrize(
    "changes", [{"scale": 1e-9}, {"scale": 0.0}, {"scale": 6.0}, {"scale": float("nan")}, {"shift": (0.0, -1e6)}]
)
def test_a_paste_too_far_off_to_be_warped_in_time_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(changes))):
        recipe(**changes)


def test_the_largest_strength_that_can_be_ordered_gives_recipes() -> None:
    for seed in range(300):
        sample_recipe(np.random.default_rng(seed), strength=10.0)


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def test_codecs_lose_more_at_lower_quality_and_keep_the_picture() -> None:
    assert error(jpeg(PICTURE, 95), PICTURE) < error(jpeg(PICTURE, 30), PICTURE) < 12
    good, bad = h264([PICTURE] * 3, 18), h264([PICTURE] * 3, 42)
    assert len(good) == len(bad) == 3
    assert error(good[2], PICTURE) < error(bad[2], PICTURE) < 15
    with pytest.raises(InputError, match="even"):
        h264([PICTURE[:, :255]], 23)


def test_a_degradation_treats_a_real_face_and_its_fake_alike() -> None:
    for seed in range(8):
        degrade = sample_degradation(np.random.default_rng(seed))
        np.testing.assert_array_equal(degrade(PICTURE), degrade(PICTURE.copy()))
