"""Forging a stretch of a clip, frame by frame, with one recipe and a generator's unsteadiness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vidguard.forge.blend import BlendRecipe, ByteImage
from vidguard.forge.kinds import Face, forge_kind
from vidguard.forge.regions import FloatImage


def forge_track(
    kind: str,
    faces: Sequence[Face | None],
    recipe: BlendRecipe,
    *,
    jitter: float,
    rng: np.random.Generator,
    donors: Sequence[Face] = (),
) -> Iterator[tuple[ByteImage, FloatImage] | None]:
    """Forge one face through consecutive frames; gives per frame the picture and the mask, as `forge_kind` does.

    Each frame is forged when it is asked for, so that a clip's masks needn't fit into memory.

    faces: the face in each frame, None where it isn't seen, and None is given back; jitter: standard deviation of the
    pasted face's wander per frame, interocular distances; donors: another person's frames, taken in turn (the last one
    stays when they run out). The frame that needs a donor or a mesh that is missing raises InputError.
    """
    wander = np.zeros(2)
    for index, face in enumerate(faces):
        # a mean-reverting walk: unsteady as a per-frame generator is, but never drifting off the face
        wander = 0.7 * wander + rng.normal(0.0, jitter, 2)
        if face is None:
            yield None
            continue
        donor = donors[min(index, len(donors) - 1)] if donors else None
        yield forge_kind(kind, face, donor, recipe.moved(float(wander[0]), float(wander[1])))


def forge_stretch(
    frames: Sequence[ByteImage],
    landmarks: Sequence[NDArray[np.float32] | None],
    recipe: BlendRecipe,
    *,
    jitter: float,
    rng: np.random.Generator,
    donors: Sequence[tuple[ByteImage, NDArray[np.float32]]] = (),
) -> list[ByteImage]:
    """Self-blend, or with donors swap, every frame in which the face is known; see `forge_track`.

    frames: equal (H, W, 3) uint8 RGB; landmarks: (5, 2) px per frame, None where the face isn't seen (left as it is);
    donors: another person's frames with landmarks.
    """
    faces = [None if points is None else Face(frame, points) for frame, points in zip(frames, landmarks, strict=True)]
    others = [Face(image, points) for image, points in donors]
    made = forge_track("swap" if donors else "self-blend", faces, recipe, jitter=jitter, rng=rng, donors=others)
    return [frame if one is None else one[0] for frame, one in zip(frames, made)]
