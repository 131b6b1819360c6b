"""Forging a stretch of a clip, frame by frame, with one recipe and a generator's unsteadiness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vidguard.forge.blend import BlendRecipe, ByteImage, forge_face


def forge_stretch(
    frames: Sequence[ByteImage],
    landmarks: Sequence[NDArray[np.float32] | None],
    recipe: BlendRecipe,
    *,
    jitter: float,
    rng: np.random.Generator,
    donors: Sequence[tuple[ByteImage, NDArray[np.float32]]] = (),
) -> list[ByteImage]:
    """Forge every frame in which the face is known.

    frames: equal (H, W, 3) uint8 RGB; landmarks: (5, 2) px per frame, None where the face isn't seen (left as it is);
    jitter: standard deviation of the pasted face's wander per frame, interocular distances; donors: another person's
    frames with landmarks, taken in turn (the last one stays when they run out).
    """
    forged: list[ByteImage] = []
    wander = np.zeros(2)
    for index, (frame, points) in enumerate(zip(frames, landmarks, strict=True)):
        # a mean-reverting walk: unsteady as a per-frame generator is, but never drifting off the face
        wander = 0.7 * wander + rng.normal(0.0, jitter, 2)
        if points is None:
            forged.append(frame)
            continue
        donor, donor_landmarks = donors[min(index, len(donors) - 1)] if donors else (None, None)
        moved = recipe.moved(float(wander[0]), float(wander[1]))
        forged.append(forge_face(frame, points, moved, donor=donor, donor_landmarks=donor_landmarks)[0])
    return forged
