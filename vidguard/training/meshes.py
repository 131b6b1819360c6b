"""Meshes of a store's genuine faces, for forgeries that follow a face's shape."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track as progress

from vidguard.faces.mesh import POINTS, FaceMesh
from vidguard.processes import end_with_parent
from vidguard.training.material import Store, open_store

_CHUNK = 512


def find_meshes(folder: Path, *, workers: int) -> None:
    """Write folder/meshes.npy (N, 468, 2) float32 px beside a store's crops; NaN for fakes and where none was found."""
    store = open_store(folder)
    wanted = pristine(store)
    meshes = np.full((len(store.rows), POINTS, 2), np.nan, np.float32)
    chunks = [wanted[start : start + _CHUNK] for start in range(0, len(wanted), _CHUNK)]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=end_with_parent) as pool:
        found = pool.map(partial(_meshes_of, folder), chunks)
        for chunk, part in progress(zip(chunks, found), description="finding meshes", total=len(chunks)):
            meshes[chunk] = part
    np.save(folder / "meshes.npy", meshes)


def pristine(store: Store) -> NDArray[np.int64]:
    """Positions of genuine faces with landmarks."""
    known = np.asarray(np.isfinite(store.landmarks).all((1, 2)))
    return np.array([i for i, r in enumerate(store.rows) if not r.is_fake and known[i]], np.int64)


@cache
def _mesh() -> FaceMesh:
    return FaceMesh()


def _meshes_of(folder: Path, index: NDArray[np.int64]) -> NDArray[np.float32]:
    crops, landmarks = np.load(folder / "crops.npy", mmap_mode="r"), np.load(folder / "landmarks.npy", mmap_mode="r")
    missing = np.full((POINTS, 2), np.nan, np.float32)
    found = [_mesh().find(np.asarray(crops[i]), np.asarray(landmarks[i])) for i in index]
    return np.stack([missing if mesh is None else mesh for mesh in found])
