"""What is pasted: donors laid on by affine maps, and a face's own skin moved, against cv2's own warps."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from portraits import PICTURE, POINTS, STRANGER, STRANGER_POINTS, grid_mesh, inside_hull

from vidguard.errors import InputError
from vidguard.forge import aligned_donor, mesh_donor, mesh_outline, nearest_pose, reenacted

SHAPE = (256, 256)
AFFINE = np.array([[1.15, 0.2, -45.0], [-0.12, 0.9, 31.0]], np.float32)


def mapped(points: np.ndarray, matrix: np.ndarray = AFFINE) -> np.ndarray:
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


# a picture that says of each of its places where that is: red is x, green is y
PLACES = np.stack([*np.meshgrid(np.arange(256), np.arange(256)), np.zeros(SHAPE)], axis=2).astype(np.uint8)


def seen_at(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The first two channels at points (K, 2) px, bilinear."""
    x0, y0 = np.floor(points).astype(int).T
    fx, fy = (points - np.floor(points)).T[..., None]
    top = picture[y0, x0, :2] * (1 - fx) + picture[y0, x0 + 1, :2] * fx
    below = picture[y0 + 1, x0, :2] * (1 - fx) + picture[y0 + 1, x0 + 1, :2] * fx
    return np.asarray(top * (1 - fy) + below * fy)


def inner(mesh: np.ndarray) -> np.ndarray:
    """Which of a grid's points aren't on its rim, where the map has a kink."""
    rows, columns = np.divmod(np.arange(len(mesh)), 9)
    return (rows % 8 > 0) & (columns % 8 > 0)


def test_a_piecewise_map_of_an_affinely_moved_mesh_is_that_affine_map() -> None:
    mesh = grid_mesh()
    pasted = mesh_donor(PICTURE, mesh, SHAPE, mapped(mesh))
    expected = cv2.warpAffine(PICTURE, AFFINE, SHAPE, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    inside = inside_hull(mapped(mesh), margin=1.0)
    assert inside.sum() > 3000
    difference = np.abs(pasted - expected)[inside]
    assert difference.mean() < 0.5  # both warps round the place to 1/32 px
    assert difference.max() < 16
    # the map matters: what was there before, or the donor unmoved, is far away
    assert np.abs(PICTURE.astype(float) - expected)[inside].mean() > 10


def test_a_face_laid_onto_itself_is_itself() -> None:
    mesh = grid_mesh()
    inside = inside_hull(mesh, margin=1.0)
    own = mesh_donor(PICTURE, mesh, SHAPE, mesh)
    np.testing.assert_allclose(own[inside], PICTURE[inside], atol=4)
    assert np.abs(own - PICTURE)[inside].mean() < 0.05
    np.testing.assert_array_equal(aligned_donor(PICTURE, POINTS, SHAPE, POINTS), PICTURE.astype(np.float32))


def test_each_mesh_point_shows_what_the_donor_has_at_its_own() -> None:
    donor_mesh, mesh = grid_mesh(1, jitter=2.0), grid_mesh(2, jitter=2.0) + np.array([9, -7], np.float32)
    pasted = mesh_donor(PLACES, donor_mesh, SHAPE, mesh)
    shown = seen_at(pasted, mesh)[inner(mesh)]
    np.testing.assert_allclose(shown, donor_mesh[inner(mesh)], atol=1.0)
    assert np.abs(donor_mesh - mesh)[inner(mesh)].max() > 10


def test_an_aligned_donors_eyes_and_mouth_lie_on_the_targets() -> None:
    def three(five: np.ndarray) -> np.ndarray:
        return np.array([five[0], five[1], five[3:].mean(0)])

    pasted = aligned_donor(PLACES, STRANGER_POINTS, SHAPE, POINTS * 0.8 + 30)
    np.testing.assert_allclose(seen_at(pasted, three(POINTS * 0.8 + 30)), three(STRANGER_POINTS), atol=1.0)


def test_reenactment_by_no_amount_or_by_the_face_itself_changes_nothing() -> None:
    mesh, driver = grid_mesh(1), grid_mesh(2)
    for amount, its in ((0.0, driver), (1.0, mesh)):
        still = reenacted(PICTURE, POINTS, mesh, POINTS, its, amount=amount)
        np.testing.assert_allclose(still, PICTURE, atol=4)
        assert np.abs(still - PICTURE).mean() < 0.05


@pytest.mark.parametrize("amount", [0.4, 1.0])
def test_reenactment_moves_the_skin_by_its_share_and_keeps_the_border(amount: float) -> None:
    mesh = grid_mesh()
    bump = 7 * np.exp(-((mesh - POINTS[3:].mean(0)) ** 2).sum(1) / 800)  # the driver's mouth is lower
    driver = mesh + np.stack([np.zeros_like(bump), bump], axis=1)
    # the driver stands elsewhere and is twice as large: only the expression may come over
    elsewhere = np.array([[2, 0, -60], [0, 2, -90]], np.float32)
    moved = reenacted(PLACES, POINTS, mesh, mapped(POINTS, elsewhere), mapped(driver, elsewhere), amount=amount)
    wanted = mesh + amount * (driver - mesh)
    np.testing.assert_allclose(seen_at(moved, wanted)[inner(mesh)], mesh[inner(mesh)], atol=1.0)
    assert bump[inner(mesh)].max() > 5
    whole = reenacted(PICTURE, POINTS, mesh, POINTS, driver.astype(np.float32), amount=amount)
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        np.testing.assert_allclose(whole[edge], PICTURE[edge], atol=4)


def test_the_outline_is_the_hull() -> None:
    from scipy.spatial import ConvexHull

    mesh = grid_mesh()
    expected = {tuple(p) for p in mesh[ConvexHull(mesh).vertices]}
    assert {tuple(p) for p in mesh_outline(mesh)} == expected


def test_the_nearest_pose_is_the_one_moved_least_whatever_its_place_and_size() -> None:
    mesh = grid_mesh()
    turned = mesh + np.stack([0.15 * (mesh[:, 1] - 130), np.zeros(len(mesh))], axis=1).astype(np.float32)
    alike = np.array([[0.5, 0, 20], [0, 0.5, 70]], np.float32)
    others = [(POINTS, turned), (mapped(POINTS, alike), mapped(grid_mesh(0) + 0.5, alike)), (POINTS, grid_mesh(3) + 8)]
    assert nearest_pose(POINTS, mesh, others) == 1


def test_what_has_no_area_is_refused() -> None:
    coinciding = np.full((5, 2), 100, np.float32)
    with pytest.raises(InputError, match="coincide"):
        nearest_pose(POINTS, grid_mesh(), [(coinciding, grid_mesh())])
    with pytest.raises(InputError, match="donor's landmarks coincide"):
        aligned_donor(STRANGER, coinciding, SHAPE, POINTS)


def test_meshes_that_dont_match_are_refused() -> None:
    mesh, broken = grid_mesh(), np.full((81, 2), np.nan, np.float32)
    for other, word in ((mesh[:80], "same K"), (broken, "finite"), (np.zeros((81, 3), np.float32), "same K")):
        with pytest.raises(InputError, match=word):
            mesh_donor(STRANGER, other, SHAPE, mesh)
        with pytest.raises(InputError, match=word):
            reenacted(PICTURE, POINTS, mesh, STRANGER_POINTS, other, amount=0.5)
