"""What a forgery pastes: another person's face, or the face's own skin moved into another expression.

Every maker gives a picture that already lies on the target face, pixel for pixel, for `forge_face` to blend in.
Meshes are (K, 2) landmarks in px, the same K points for every face, such as `vidguard.faces.FaceMesh` finds.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from vidguard.errors import InputError
from vidguard.faces.regions import FloatImage, face_axes

ByteImage = NDArray[np.uint8]
Points = NDArray[np.float32]


def aligned_donor(donor: ByteImage, donor_landmarks: Points, shape: tuple[int, int], landmarks: Points) -> FloatImage:
    """Lay another person's face onto a face by one affine map of eyes and mouth.

    donor: (H, W, 3) RGB; landmarks: (5, 2) px; shape: (H, W) of the target. Gives (H, W, 3) float32. Raises InputError
    where the donor's landmarks span no face.
    """
    lift = np.array([[0, 0, 1]], np.float32)
    to_target = np.concatenate([face_axes(landmarks), lift])
    try:
        from_donor = np.linalg.inv(np.concatenate([face_axes(donor_landmarks), lift]))
    except np.linalg.LinAlgError as error:
        raise InputError("the donor's landmarks coincide or lie on one line") from error
    matrix = (to_target @ from_donor)[:2]
    size = (shape[1], shape[0])
    fitted = cv2.warpAffine(donor, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(fitted, np.float32)


def mesh_donor(donor: ByteImage, donor_mesh: Points, shape: tuple[int, int], mesh: Points) -> FloatImage:
    """Lay another person's face onto a face by a piecewise affine map over the mesh's triangles, as FaceSwap does.

    Only the inside of the mesh's hull is meant to be used. Raises InputError for meshes that don't match.
    """
    _check_meshes(donor_mesh, mesh)
    frame = _frame_of(shape)
    return _piecewise_affine(donor, np.concatenate([donor_mesh, frame]), np.concatenate([mesh, frame]), shape)


def reenacted(
    image: ByteImage, landmarks: Points, mesh: Points, driver_landmarks: Points, driver_mesh: Points, *, amount: float
) -> FloatImage:
    """Give a face another one's expression by moving its own skin, as Face2Face moves it over a model of the face.

    image: (H, W, 3) RGB; landmarks: (5, 2) px; amount: 0 leaves the face, 1 takes the driver's mesh in whole. Gives
    (H, W, 3) float32; the picture's border stays in place. Raises InputError for meshes that don't match.
    """
    _check_meshes(driver_mesh, mesh)
    # compared where eyes and mouth corners' centre coincide, the rest of two meshes' difference is shape and expression
    wanted = _on_face(driver_mesh, driver_landmarks, landmarks)
    moved = mesh + np.float32(amount) * (wanted - mesh)
    frame = _frame_of((image.shape[0], image.shape[1]))
    points = np.concatenate([mesh, frame]), np.concatenate([moved, frame])
    return _piecewise_affine(image, *points, (image.shape[0], image.shape[1]))


def mesh_outline(mesh: Points) -> Points:
    """The convex hull of a mesh, (K, 2) px in order."""
    return np.asarray(cv2.convexHull(mesh.astype(np.float32))[:, 0], np.float32)


def nearest_pose(landmarks: Points, mesh: Points, others: list[tuple[Points, Points]]) -> int:
    """Which of other faces (landmarks, mesh) holds its head most alike: a swap between them shows least."""
    distances = [float(np.abs(_on_face(m, five, landmarks) - mesh).mean()) for five, m in others]
    return int(np.argmin(distances))


def _check_meshes(*meshes: Points) -> None:
    shapes = {mesh.shape for mesh in meshes}
    if len(shapes) > 1 or meshes[0].ndim != 2 or meshes[0].shape[1] != 2:
        raise InputError(f"meshes must be (K, 2) with the same K points, got {' and '.join(map(str, sorted(shapes)))}")
    if not all(np.isfinite(mesh).all() for mesh in meshes):
        raise InputError("a mesh's points must be finite")


def _on_face(mesh: Points, its_landmarks: Points, landmarks: Points) -> Points:
    """Bring a mesh onto another face by the similarity that fits eyes and middle of mouth best (least squares)."""
    source, target = (_triple(five) for five in (its_landmarks, landmarks))
    middle, aim = source.mean(), target.mean()
    size = float((np.abs(source - middle) ** 2).sum())
    if size == 0:
        raise InputError("the landmarks of a face coincide")
    # as complex numbers a turn with a change of size is one factor
    factor = (np.conj(source - middle) * (target - aim)).sum() / size
    moved = aim + factor * (mesh[:, 0] + 1j * mesh[:, 1] - middle)
    return np.stack([moved.real, moved.imag], axis=1).astype(np.float32)


def _triple(landmarks: Points) -> NDArray[np.complex128]:
    points = np.stack([landmarks[0], landmarks[1], (landmarks[3] + landmarks[4]) / 2]).astype(np.float64)
    triple: NDArray[np.complex128] = points[:, 0] + 1j * points[:, 1]
    return triple


def _frame_of(shape: tuple[int, int]) -> Points:
    """Eight points on the picture's border, kept in place so that the map covers the whole picture."""
    height, width = shape[0] - 1, shape[1] - 1
    xs, ys = (0, width / 2, width), (0, height / 2, height)
    return np.array([(x, y) for y in ys for x in xs if (x, y) != (xs[1], ys[1])], np.float32)


def _piecewise_affine(image: ByteImage, points: Points, moved: Points, shape: tuple[int, int]) -> FloatImage:
    """Carry each triangle of `points` to where `moved` has it; (H, W, 3) float32."""
    triangles = Delaunay(moved).simplices
    ones = np.ones((len(triangles), 3, 1), np.float32)
    corners = np.concatenate([moved[triangles], ones], axis=2)
    keep = np.abs(np.linalg.det(corners)) > 1e-3
    triangles, corners = triangles[keep], corners[keep]
    back = np.linalg.solve(corners, points[triangles].astype(np.float32))  # (T, 3, 2): [x, y, 1] @ back = source
    which = np.zeros(shape, np.int32)
    outlines = np.round(moved[triangles] * 16).astype(np.int32)
    for number, outline in enumerate(outlines):
        cv2.fillConvexPoly(which, outline, number, shift=4)
    ys, xs = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    maps = back[which]  # (H, W, 3, 2)
    source = xs[..., None] * maps[..., 0, :] + ys[..., None] * maps[..., 1, :] + maps[..., 2, :]
    source = source.astype(np.float32)
    warped = cv2.remap(image, source[..., 0], source[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(warped, np.float32)
