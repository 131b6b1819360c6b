"""Endless training samples: a mixture of labelled crops and freshly forged pairs, degraded as footage is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from vidguard.errors import InputError
from vidguard.forge import (
    MANIPULATES,
    NEEDS_DONOR,
    Face,
    forge_kind,
    nearest_pose,
    rescale,
    sample_degradation,
    sample_kind,
    sample_recipe,
)
from vidguard.training.listing import Row
from vidguard.training.material import Store
from vidguard.training.recipe import Draw
from vidguard.types import KINDS_OF_MANIPULATION

GENUINE: Final = 0
UNKNOWN_KIND: Final = -1
"""Classes besides those of the `KINDS_OF_MANIPULATION`, which count from 1."""
_COMMON_SCALES: Final = (0.3, 1.0)
"""Crops of clips are first reduced by one of these and enlarged again, genuine and fake ones alike: generators write
faces of 300 px and more where their genuine sources have 100, and sharpness would give the label away."""


class SampleStream(IterableDataset[tuple[Tensor, float, int]]):
    """Yields (crop (3, 224, 224) uint8 RGB, label 1.0 fake / 0.0 real, class) without end, seeded per worker.

    The class is `class_of` the kind of manipulation. kinds: whether forgeries are drawn so that kinds can be told
    apart (`sample_kind` by manipulation).
    """

    def __init__(
        self,
        store: Store,
        mixture: tuple[Draw, ...],
        *,
        seed: int,
        degraded: float = 1.0,
        kinds: bool = False,
        split: str = "train",
    ) -> None:
        self.store = store
        self.seed = seed
        self.degraded = degraded
        self.kinds = kinds
        self.mixture = mixture
        self.weights = np.array([part.weight for part in mixture]) / sum(part.weight for part in mixture)
        self.pools = [pools_of(store, part, split) for part in mixture]
        self.odds = [
            tuple(clip_odds(store, pool) if part.draw == "clips" else None for pool in pools)
            for part, pools in zip(mixture, self.pools)
        ]

    def require_material(self) -> None:
        """Raise InputError where the split train lacks what a part of the mixture is drawn from."""
        for part, (real, fake) in zip(self.mixture, self.pools):
            if not len(real) or (part.draw != "pairs" and not len(fake)):
                kind = "genuine faces with landmarks" if part.draw == "pairs" else "both genuine and fake faces"
                raise InputError(
                    f"the recipe draws {part.draw} samples from {', '.join(part.datasets)}, which needs {kind} in the "
                    "split train; the material has none: change the recipe's mixture or add material"
                )

    def __iter__(self) -> Iterator[tuple[Tensor, float, int]]:
        """Draw for ever."""
        for crop, label, number, _ in self.drawn():
            yield crop, label, number

    def drawn(self) -> Iterator[tuple[Tensor, float, int, int]]:
        """The same with the position of the crop in the store that each sample is, or was forged from."""
        worker = get_worker_info()
        rng = self.generator(worker.id if worker else 0)
        while True:
            yield from self.draw(rng)

    def generator(self, worker: int) -> np.random.Generator:
        """What one of several processes draws by."""
        return np.random.default_rng([self.seed, worker])

    def draw(self, rng: np.random.Generator) -> list[tuple[Tensor, float, int, int]]:
        """One sample, or a genuine face and the forgery made from it; as `drawn`."""
        choice = int(rng.choice(len(self.mixture), p=self.weights))
        real, fake = self.pools[choice]
        if self.mixture[choice].draw == "pairs":
            return list(self._forged_pair(int(rng.choice(real)), real, rng))
        is_fake = bool(rng.random() < 0.5)
        odds = self.odds[choice][int(is_fake)]
        index = int(rng.choice(fake if is_fake else real, p=odds))
        image = place(self.store.crops[index], rng)
        if odds is not None:
            image = rescale(image, float(rng.uniform(*_COMMON_SCALES)))
        image = self._degradation(rng)(image)
        return [(_tensor(image), float(is_fake), class_of(self.store.rows[index]), index)]

    def _degradation(self, rng: np.random.Generator) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
        return sample_degradation(rng) if rng.random() < self.degraded else np.asarray

    def _forged_pair(
        self, index: int, pool: NDArray[np.int64], rng: np.random.Generator
    ) -> Iterator[tuple[Tensor, float, int, int]]:
        pristine = self.store.face(index)
        kind = sample_kind(rng, mesh=pristine.mesh is not None, by_manipulation=self.kinds)
        donor = self._donor(index, pristine, pool, rng) if kind in NEEDS_DONOR else None
        if kind in NEEDS_DONOR and (donor is None or (donor.mesh is None and kind != "swap")):
            kind = "self-blend"
        forged, _ = forge_kind(kind, pristine, donor, sample_recipe(rng))
        geometry, degrade = int(rng.integers(2**31)), self._degradation(rng)
        made = 1 + KINDS_OF_MANIPULATION.index(MANIPULATES[kind])
        for image, label, number in ((pristine.image, 0.0, GENUINE), (forged, 1.0, made)):
            yield _tensor(degrade(place(image, np.random.default_rng(geometry)))), label, number, index

    def _donor(self, index: int, face: Face, pool: NDArray[np.int64], rng: np.random.Generator) -> Face | None:
        """Of a few other people's faces the one whose head is held most alike, as a forger would choose."""
        drawn = [int(i) for i in rng.choice(pool, 6)]
        others = [self.store.face(i) for i in drawn if self._is_another(i, index)]
        if not others:
            return None
        meshes = [(o.landmarks, o.mesh) for o in others if o.mesh is not None]
        if face.mesh is None or not meshes:
            return others[0]
        with_mesh = [o for o in others if o.mesh is not None]
        return with_mesh[nearest_pose(face.landmarks, face.mesh, meshes)]

    def _is_another(self, other: int, index: int) -> bool:
        """Whether two crops are of different sources; one without a group stands for itself."""
        a, b = self.store.rows[other], self.store.rows[index]
        return (a.dataset, a.source) != (b.dataset, b.source)


def class_of(row: Row) -> int:
    """0 for a genuine face, from 1 the kind of manipulation, -1 for a fake of unknown kind (DFDC says of none)."""
    if not row.is_fake:
        return GENUINE
    return 1 + KINDS_OF_MANIPULATION.index(row.kind) if row.kind in KINDS_OF_MANIPULATION else UNKNOWN_KIND


def pools_of(store: Store, part: Draw, split: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the genuine and of the fake crops that a part of a mixture draws from in a split."""
    chosen = store.where(split=split, datasets=part.datasets)
    fake = np.array([store.rows[i].is_fake for i in chosen], bool)
    real = chosen[~fake]
    if part.draw == "pairs":
        real = real[np.isfinite(store.landmarks[real]).all((1, 2))]
    return real, chosen[fake]


def clip_odds(store: Store, pool: NDArray[np.int64]) -> NDArray[np.float64]:
    """Odds of a pool's crops, so that neither long clips nor large sets crowd out others.

    A data set is drawn by the square root of how many clips it has, each of its clips as often as any other, and of a
    clip any frame.
    """
    clips = [(store.rows[i].dataset, store.rows[i].path) for i in pool]
    frames = Counter(clips)
    count = Counter(dataset for dataset, _ in frames)
    odds = np.array([count[clip[0]] ** -0.5 / frames[clip] for clip in clips], np.float64)
    return np.asarray(odds / odds.sum())


def place(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn, shift, scale and mirror a crop a little, as croppers differ from each other.

    Some lose their surroundings: DFDC's crops are tight and reach a face's size here with repeated borders, and what
    only they had would be learnt as theirs.
    """
    size = image.shape[0]
    if rng.random() < 0.25:
        image = _tight(image, rng)
    turned = cv2.getRotationMatrix2D((size / 2, size / 2), rng.normal(0, 5), float(np.exp(rng.normal(0.03, 0.12))))
    matrix = np.array(turned, np.float64)
    matrix[:, 2] += rng.normal(0, 0.025 * size, 2)
    placed = cv2.warpAffine(
        np.asarray(image), matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.ascontiguousarray(placed[:, ::-1] if rng.random() < 0.5 else placed)


def _tight(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Repeat the border of a window as wide as a DFDC crop is once its face has the store's size (0.61 of the side)."""
    size = image.shape[0]
    side = int(size * rng.uniform(0.55, 0.8))
    x, y = ((size - side) // 2 + rng.integers(-size // 20, size // 20 + 1, 2)).clip(0, size - side)
    window = np.asarray(image)[y : y + side, x : x + side]
    borders = (int(y), int(size - side - y), int(x), int(size - side - x))
    return np.asarray(cv2.copyMakeBorder(window, *borders, cv2.BORDER_REPLICATE), np.uint8)


def _tensor(image: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
