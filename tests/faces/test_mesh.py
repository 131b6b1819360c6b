"""Face meshes: found where the face is, and a plain word where what they need isn't installed."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
from skimage.data import astronaut

from vidguard.errors import InputError
from vidguard.faces.mesh import POINTS, FaceMesh

PORTRAIT = np.ascontiguousarray(astronaut()[:256, 96:352])
LANDMARKS = np.array([[109.4, 101.5], [150.9, 103.1], [129.1, 129.2], [105.2, 139.6], [149.1, 141.1]], np.float32)
installed = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("ai_edge_litert", "mediapipe")),
    reason="needs ai-edge-litert and mediapipe's model file",
)
# of each landmark: the mesh's points around it (an eye's corners, the tip of the nose, a corner of the mouth)
CORNERS = {0: (33, 133), 1: (362, 263), 2: (4,), 3: (61,), 4: (291,)}


@installed
def test_a_mesh_lies_on_the_faces_landmarks() -> None:
    mesh = FaceMesh().find(PORTRAIT, LANDMARKS)
    assert mesh is not None
    assert (mesh.shape, mesh.dtype) == ((POINTS, 2), np.float32)
    for number, points in CORNERS.items():
        assert np.hypot(*(mesh[list(points)].mean(0) - LANDMARKS[number])) < 6


@installed
def test_a_mesh_turns_and_grows_with_its_face() -> None:
    import cv2

    finder = FaceMesh()
    upright = finder.find(PORTRAIT, LANDMARKS)
    matrix = cv2.getRotationMatrix2D((130, 128), 25.0, 1.4)
    turned = cv2.warpAffine(PORTRAIT, matrix, (256, 256))
    mesh = finder.find(turned, (LANDMARKS @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32))
    assert upright is not None
    assert mesh is not None
    expected = upright @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(mesh - expected).mean() < 2


@installed
def test_no_face_is_none() -> None:
    assert FaceMesh().find(np.full_like(PORTRAIT, 90), LANDMARKS) is None


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(InputError, match="pip install ai-edge-litert && pip install --no-deps mediapipe"):
        FaceMesh()
