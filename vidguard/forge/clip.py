"""Forging a stretch of a clip, frame by frame, with one recipe and a generator's unsteadiness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vidguard.errors import InputError
from vidguard.faces.regions import FloatImage
from vidguard.forge.blend import BlendRecipe, ByteImage, sample_recipe
from vidguard.forge.kinds import Face, forge_kind

COURSES: Final = ("steady", "drift", "flicker", "dropout")
_DROPPED: Final = 0.25
"""Share of a dropout's frames that stay genuine, in runs of up to `_LONGEST_DROP`."""
_LONGEST_DROP: Final = 3


def forge_track(
    kind: str,
    faces: Sequence[Face | None],
    recipe: BlendRecipe,
    *,
    jitter: float,
    rng: np.random.Generator,
    donors: Sequence[Face] = (),
    course: str = "steady",
) -> Iterator[tuple[ByteImage, FloatImage] | None]:
    """Forge one face through consecutive frames; gives per frame the picture and the mask, as `forge_kind` does.

    Each frame is forged when it is asked for, so that a clip's masks needn't fit into memory.

    faces: the face in each frame, None where it isn't seen, and None is given back; jitter: standard deviation of the
    pasted face's wander per frame, interocular distances; donors: another person's frames, taken in turn (the last one
    stays when they run out). The frame that needs a donor or a mesh that is missing raises InputError.

    course: how the recipe goes on through time. steady: the same in every frame; drift: it turns into another recipe by
    and by; flicker: every frame lies somewhere between the two, whatever the one before; dropout: some frames stay
    genuine, where None is given back, never the first nor the last.
    """
    if course not in COURSES:
        raise InputError(f"course must be one of {', '.join(COURSES)}; got {course!r}")
    other, shares = recipe, [0.0] * len(faces)
    if course != "steady":
        other = sample_recipe(rng, strength=recipe.strength * float(rng.uniform(0.4, 1.0)))
        shares = _shares(course, len(faces), rng)
    wander = np.zeros(2)
    for index, (face, share) in enumerate(zip(faces, shares)):
        # a mean-reverting walk: unsteady as a per-frame generator is, but never drifting off the face
        wander = 0.7 * wander + rng.normal(0.0, jitter, 2)
        if face is None or np.isnan(share):
            yield None
            continue
        donor = donors[min(index, len(donors) - 1)] if donors else None
        now = _between(recipe, other, share).moved(float(wander[0]), float(wander[1]))
        yield forge_kind(kind, face, donor, now)


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


def _shares(course: str, count: int, rng: np.random.Generator) -> list[float]:
    """How far each frame is on its way to the other recipe, 0..1; NaN where it stays genuine."""
    if course == "drift":
        return [float(share) for share in np.linspace(0.0, 1.0, count)]
    if course == "flicker":
        return [float(share) for share in rng.uniform(0.0, 1.0, count)]
    shares = [0.0] * count
    while count > 2 and np.isnan(shares).mean() < _DROPPED:
        first = int(rng.integers(1, count - 1))
        last = min(first + int(rng.integers(1, _LONGEST_DROP + 1)), count - 1)
        shares[first:last] = [float("nan")] * (last - first)
    return shares


def _between(recipe: BlendRecipe, other: BlendRecipe, share: float) -> BlendRecipe:
    """A recipe on the way from one to another; what is replaced and how it is blended stay the first one's."""

    def mix(a: float, b: float) -> float:
        return a + share * (b - a)

    def mix3(a: tuple[float, float, float], b: tuple[float, float, float]) -> tuple[float, float, float]:
        return mix(a[0], b[0]), mix(a[1], b[1]), mix(a[2], b[2])

    return replace(
        recipe,
        softness=mix(recipe.softness, other.softness),
        opacity=mix(recipe.opacity, other.opacity),
        shift=(mix(recipe.shift[0], other.shift[0]), mix(recipe.shift[1], other.shift[1])),
        scale=mix(recipe.scale, other.scale),
        rotation_degrees=mix(recipe.rotation_degrees, other.rotation_degrees),
        gain=mix3(recipe.gain, other.gain),
        offset=mix3(recipe.offset, other.offset),
        detail=mix(recipe.detail, other.detail),
        strength=mix(recipe.strength, other.strength),
    )
