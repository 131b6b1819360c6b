"""Every kind of forgery: that it happens where its mask says, follows from its recipe, and asks for what it needs."""

from __future__ import annotations

import importlib.util
import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest
from portraits import PICTURE, POINTS, STRANGER, STRANGER_POINTS, grid_mesh, inside_hull

from vidguard.errors import InputError
from vidguard.faces.regions import PARTS, region_outline
from vidguard.forge import (
    ATTRIBUTES,
    KINDS,
    NEEDS_DONOR,
    NEEDS_MESH,
    BlendRecipe,
    Face,
    forge_face,
    forge_kind,
    forge_stretch,
    forge_track,
    mesh_outline,
    preview_sheet,
    sample_kind,
    sample_recipe,
)

FACE = Face(PICTURE, POINTS, grid_mesh(0))
DONOR = Face(STRANGER, STRANGER_POINTS, grid_mesh(1, jitter=3.0))
# nothing but the paste itself: no draw, no colour, no movement
PLAIN = BlendRecipe("face", 0, 0.0, 0.03, 1.0, (0.0, 0.0), 1.0, 0.0, (1.0,) * 3, (0.0,) * 3, 1.0, False, 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_says_where_pictures_differ_and_a_recipe_fixes_them(kind: str) -> None:
    recipe = replace(sample_recipe(np.random.default_rng(4)), soften_target=False)
    forged, mask = forge_kind(kind, FACE, DONOR, recipe)
    again, mask_again = forge_kind(kind, FACE, DONOR, recipe)
    np.testing.assert_array_equal(forged, again)
    np.testing.assert_array_equal(mask, mask_again)
    assert (mask.dtype, mask.shape) == (np.float32, PICTURE.shape[:2])
    assert 0 <= mask.min() <= mask.max() <= 1
    np.testing.assert_array_equal(forged[mask == 0], PICTURE[mask == 0])
    changed = np.abs(forged.astype(int) - PICTURE).max(2)
    assert changed[mask > 0.5 * mask.max()].mean() > 1
    assert (forged != forge_kind(kind, FACE, DONOR, replace(recipe, seed=recipe.seed + 1))[0]).any()


def test_a_swap_shows_the_donor_and_a_mesh_swap_fills_the_meshs_hull() -> None:
    assert FACE.mesh is not None
    outside = ~inside_hull(FACE.mesh, margin=-8)
    for kind in ("swap", "mesh-swap"):
        forged, mask = forge_kind(kind, FACE, DONOR, PLAIN)
        nose = PICTURE[125:140, 125:140].reshape(-1, 3).mean(0)
        assert nose[0] > nose[2] + 20  # her skin is redder than blue, the stranger's bluer than red
        shown = forged[125:140, 125:140].reshape(-1, 3).mean(0)
        assert shown[2] > shown[0] + 20
        if kind == "mesh-swap":
            assert mask[inside_hull(FACE.mesh, margin=5)].min() > 0.95
            assert mask[outside].max() < 0.01


def test_a_part_swap_replaces_one_part_and_every_part_has_its_turn() -> None:
    replaced = set()
    for seed in range(40):
        forged, mask = forge_kind("part-swap", FACE, DONOR, replace(PLAIN, seed=seed))
        outlines = {part: soft_mask_of(part) for part in PARTS}
        (part,) = (name for name, outline in outlines.items() if np.abs(outline - mask).max() < 1e-6)
        replaced.add(part)
        assert 0 < mask.mean() < 0.5 * soft_mask_of("face").mean()
        assert np.abs(forged.astype(int) - PICTURE)[mask > 0.9].mean() > 5
    assert replaced == {"eyes", "nose", "mouth", "lower"} == set(PARTS)


def soft_mask_of(region: str) -> np.ndarray:
    return forge_face(PICTURE, POINTS, PLAIN, outline=region_outline(POINTS, region))[1]


def test_a_reenactment_keeps_the_faces_own_colours_and_grows_with_strength() -> None:
    small, _ = forge_kind("reenactment", FACE, DONOR, replace(PLAIN, strength=0.2))
    large, _ = forge_kind("reenactment", FACE, DONOR, PLAIN)
    moved = [np.abs(one.astype(int) - PICTURE).mean() for one in (small, large)]
    assert 0 < moved[0] < moved[1]
    shown = large[125:140, 125:140].reshape(-1, 3).mean(0)
    assert shown[0] > shown[2] + 20
    none, _ = forge_kind("reenactment", FACE, DONOR, replace(PLAIN, strength=0.0))
    assert np.abs(none.astype(int) - PICTURE).max() <= 4


def test_a_given_outline_and_source_are_what_is_pasted_where() -> None:
    source = np.full(PICTURE.shape, 200, np.float32)
    square = np.array([[110, 100], [150, 100], [150, 140], [110, 140]], np.float32)
    forged, mask = forge_face(PICTURE, POINTS, replace(PLAIN, softness=0.01), source=source, outline=square)
    expected = np.zeros(PICTURE.shape[:2], bool)
    expected[100:141, 110:151] = True
    assert ((mask > 0.5) == expected).mean() > 0.998
    assert (forged[102:139, 112:149] == 200).all()


def test_poisson_blending_leaves_no_step_at_the_edge() -> None:
    source = PICTURE.astype(np.float32) * 0.6 + 70  # brighter all over
    outline = mesh_outline(grid_mesh(0))
    plain, mask = forge_face(PICTURE, POINTS, PLAIN, source=source, outline=outline)
    seamless, same_mask = forge_face(PICTURE, POINTS, replace(PLAIN, seamless=True), source=source, outline=outline)
    np.testing.assert_array_equal(mask, same_mask)
    inside = (mask > 0.5).astype(np.uint8)
    rim = (inside - cv2.erode(inside, np.ones((5, 5), np.uint8))).astype(bool)
    step = [np.abs(one.astype(float) - PICTURE)[rim].mean() for one in (plain, seamless)]
    assert step[1] < 0.4 * step[0]
    assert (seamless != PICTURE).any()


@pytest.mark.parametrize("opacity", [0.5, 0.75])
def test_a_poisson_blend_half_transparent_is_a_part_of_the_whole_one(opacity: float) -> None:
    source = PICTURE.astype(np.float32) * 0.6 + 70
    recipe = replace(PLAIN, seamless=True)
    opaque, whole_mask = forge_face(PICTURE, POINTS, recipe, source=source)
    forged, mask = forge_face(PICTURE, POINTS, replace(recipe, opacity=opacity), source=source)
    np.testing.assert_allclose(mask, opacity * whole_mask, atol=1e-6)
    expected = PICTURE + opacity * (opaque.astype(float) - PICTURE)
    assert np.abs(forged - expected).max() <= 1  # both are rounded


def test_what_is_missing_is_named() -> None:
    for kind in NEEDS_DONOR:
        with pytest.raises(InputError, match="donor"):
            forge_kind(kind, FACE, None, PLAIN)
    for kind in NEEDS_MESH:
        with pytest.raises(InputError, match="mesh of both"):
            forge_kind(kind, FACE, replace(DONOR, mesh=None), PLAIN)
        with pytest.raises(InputError, match="mesh of both"):
            forge_kind(kind, replace(FACE, mesh=None), DONOR, PLAIN)
    with pytest.raises(InputError, match="self-blend, swap"):
        forge_kind("deepfake", FACE, DONOR, PLAIN)
    with pytest.raises(InputError, match="strength"):
        replace(PLAIN, strength=float("nan"))


def test_training_draws_five_kinds_by_their_odds() -> None:
    names = ("self-blend", "swap", "mesh-swap", "part-swap", "reenactment")
    odds = (0.36, 0.08, 0.22, 0.14, 0.2)
    for mesh in (True, False):
        drawn, reference = np.random.default_rng(7), np.random.default_rng(7)
        for _ in range(200):
            expected = str(reference.choice(names, p=odds))
            if not mesh and expected in ("mesh-swap", "part-swap", "reenactment"):
                expected = "self-blend" if reference.random() < 0.7 else "swap"
            assert sample_kind(drawn, mesh=mesh) == expected
        assert drawn.random() == reference.random()


@pytest.mark.parametrize("kind", KINDS)
def test_a_track_is_forged_frame_by_frame_with_its_donors_in_turn(kind: str) -> None:
    faces = [FACE, None, FACE, FACE]
    donors = [DONOR, DONOR, replace(DONOR, mesh=grid_mesh(5, jitter=4.0), landmarks=STRANGER_POINTS + 2)]
    made = list(forge_track(kind, faces, PLAIN, jitter=0.0, rng=np.random.default_rng(0), donors=donors))
    assert made[1] is None
    for index, donor in ((0, 0), (2, 2), (3, 2)):
        one = made[index]
        assert one is not None
        picture, mask = forge_kind(kind, FACE, donors[donor], PLAIN)
        np.testing.assert_array_equal(one[0], picture)
        np.testing.assert_array_equal(one[1], mask)


def forged_on_course(course: str, count: int = 24) -> list[np.ndarray | None]:
    rng = np.random.default_rng(3)
    made = forge_track("self-blend", [FACE] * count, PLAIN, jitter=0.0, rng=rng, course=course)
    return [None if one is None else one[0].astype(float) for one in made]


def test_a_drifting_forgery_moves_away_step_by_step_and_a_flickering_one_jumps() -> None:
    steady, drifting, flickering = (forged_on_course(course) for course in ("steady", "drift", "flicker"))
    assert all((frame == steady[0]).all() for frame in steady)
    away = [np.abs(frame - drifting[0]).mean() for frame in drifting]
    assert (np.diff(away) > 0).mean() > 0.9
    assert (drifting[0] == steady[0]).all()

    def step(frames: list[np.ndarray | None]) -> float:
        return float(np.mean([np.abs(a - b).mean() for a, b in itertools.pairwise(frames)]))

    assert step(flickering) > 2 * step(drifting) > 0


def test_what_drops_out_are_short_runs_inside_the_stretch() -> None:
    for count in (1, 2, 3, 24, 100):
        made = forged_on_course("dropout", count)
        dropped = [frame is None for frame in made]
        assert not dropped[0]
        assert not dropped[-1]
        assert (np.mean(dropped) >= 0.25) == (count > 2)
        assert np.mean(dropped) <= 0.4
    kept = [frame for frame in made if frame is not None]
    assert all((frame == kept[0]).all() for frame in kept)


def test_an_unknown_course_is_refused() -> None:
    with pytest.raises(InputError, match="course must be one of steady, drift, flicker, dropout"):
        forged_on_course("zigzag")


def test_a_frame_is_forged_when_it_is_asked_for() -> None:
    faces = [FACE, replace(FACE, mesh=None)]
    made = forge_track("mesh-swap", faces, PLAIN, jitter=0.0, rng=np.random.default_rng(0), donors=[DONOR])
    assert next(made) is not None
    with pytest.raises(InputError, match="mesh of both"):
        next(made)


def test_a_kind_that_cant_be_made_says_so_on_the_sheet() -> None:
    sheets = [preview_sheet("", [FACE], None, PLAIN, kind=kind, fps=25.0) for kind in ("self-blend", "swap")]
    assert sheets[0].shape == sheets[1].shape
    assert (sheets[0] != sheets[1]).any()


def test_a_stretch_is_a_track_of_self_blends_or_swaps() -> None:
    recipe = sample_recipe(np.random.default_rng(2))
    for donors, kind in (([], "self-blend"), ([(STRANGER, STRANGER_POINTS)], "swap")):
        stretch = forge_stretch(
            [PICTURE] * 3, [POINTS, None, POINTS + 1], recipe, jitter=0.02, rng=np.random.default_rng(1), donors=donors
        )
        faces = [Face(PICTURE, POINTS), None, Face(PICTURE, POINTS + 1)]
        others = [Face(*donor) for donor in donors]
        track = forge_track(kind, faces, recipe, jitter=0.02, rng=np.random.default_rng(1), donors=others)
        for frame, one in zip(stretch, track):
            np.testing.assert_array_equal(frame, PICTURE if one is None else one[0])


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("ai_edge_litert", "mediapipe")),
    reason="needs ai-edge-litert and mediapipe's model file",
)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_works_with_found_meshes(kind: str) -> None:
    from vidguard.faces.mesh import FaceMesh

    finder = FaceMesh()
    meshes = [finder.find(PICTURE, POINTS), finder.find(STRANGER, STRANGER_POINTS)]
    assert all(mesh is not None for mesh in meshes)
    recipe = replace(sample_recipe(np.random.default_rng(4)), soften_target=False)
    forged, mask = forge_kind(kind, replace(FACE, mesh=meshes[0]), replace(DONOR, mesh=meshes[1]), recipe)
    np.testing.assert_array_equal(forged[mask == 0], PICTURE[mask == 0])
    assert np.abs(forged.astype(int) - PICTURE)[mask > 0.5 * mask.max()].mean() > 1


def test_the_attribute_follows_from_the_seed_and_all_occur() -> None:
    made = [forge_kind("attribute", FACE, None, replace(PLAIN, seed=seed)) for seed in range(24)]
    assert len({picture.tobytes() for picture, _ in made}) > 12  # only an eye's four colours repeat themselves
    assert len({mask.tobytes() for _, mask in made}) == len(ATTRIBUTES) - 2  # three are of the same skin
