"""The portrait the forge is tested on, and meshes for it that need no model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.data import astronaut

PICTURE = np.ascontiguousarray(astronaut()[:256, 96:352])
# eyes, nose and mouth corners of the portrait, as MTCNN sees them
POINTS = np.array([[109.4, 101.5], [150.9, 103.1], [129.1, 129.2], [105.2, 139.6], [149.1, 141.1]], np.float32)
STRANGER = np.ascontiguousarray(PICTURE[:, ::-1, ::-1])  # blue where she is red: plainly somebody else
STRANGER_POINTS = np.stack([255 - POINTS[[1, 0, 2, 4, 3], 0], POINTS[[1, 0, 2, 4, 3], 1]], axis=1)


def grid_mesh(seed: int = 0, *, jitter: float = 1.5) -> NDArray[np.float32]:
    """A mesh (81, 2) px over the portrait's face: a grid whose points are off by a little."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.linspace(92, 168, 9), np.linspace(76, 170, 9)), -1).reshape(-1, 2)
    return (grid + rng.normal(0, jitter, grid.shape)).astype(np.float32)


def inside_hull(mesh: NDArray[np.float32], *, margin: float) -> NDArray[np.bool_]:
    """Which of the portrait's pixels lie at least `margin` px inside a mesh's hull: by half planes."""
    from scipy.spatial import ConvexHull

    ys, xs = np.mgrid[:256, :256]
    distance = np.stack([a * xs + b * ys + c for a, b, c in ConvexHull(mesh).equations])
    return (distance < -margin).all(0)
