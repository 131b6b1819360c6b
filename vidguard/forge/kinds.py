"""The kinds of forgery that can be made of one pristine face and another person's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vidguard.errors import InputError
from vidguard.faces.regions import PARTS, FloatImage, region_outline
from vidguard.forge.attributes import ATTRIBUTES, edit_attribute
from vidguard.forge.blend import BlendRecipe, ByteImage, forge_face
from vidguard.forge.sources import aligned_donor, mesh_donor, mesh_outline, reenacted

KINDS: Final = ("self-blend", "swap", "mesh-swap", "part-swap", "reenactment", "attribute")
NEEDS_DONOR: Final = frozenset({"swap", "mesh-swap", "part-swap", "reenactment"})
NEEDS_MESH: Final = frozenset({"mesh-swap", "part-swap", "reenactment"})
MANIPULATES: Final = {
    "self-blend": "identity",  # what it imitates: the seams of a swap
    "swap": "identity",
    "mesh-swap": "identity",
    "part-swap": "attribute",
    "reenactment": "expression",
    "attribute": "attribute",
}
"""Which of the `KINDS_OF_MANIPULATION` each kind of forgery stands for."""
_DRAWN: Final = {"self-blend": 0.36, "swap": 0.08, "mesh-swap": 0.22, "part-swap": 0.14, "reenactment": 0.2}
# for telling kinds of manipulation apart: a third of each that can be forged
_DRAWN_BY_MANIPULATION: Final = {
    "self-blend": 0.14,
    "swap": 0.05,
    "mesh-swap": 0.15,
    "part-swap": 0.13,
    "reenactment": 0.33,
    "attribute": 0.2,
}


@dataclass(frozen=True)
class Face:
    """A picture (H, W, 3) uint8 RGB with one face's landmarks (5, 2) and, where it was found, mesh (K, 2), both px."""

    image: ByteImage
    landmarks: NDArray[np.float32]
    mesh: NDArray[np.float32] | None = None


def forge_kind(kind: str, face: Face, donor: Face | None, recipe: BlendRecipe) -> tuple[ByteImage, FloatImage]:
    """Make one kind of forgery of a face; gives the picture and the mask of what was replaced.

    self-blend: the face itself, changed (no donor needed); swap: the donor's face laid on by eyes and mouth; mesh-swap:
    laid on triangle by triangle; part-swap: the same of one of the `PARTS` alone, which one follows from the recipe's
    seed; reenactment: the face's own skin moved into the donor's expression; attribute: one of
    the `ATTRIBUTES`, which one follows from the recipe's seed. Raises InputError where a donor or a mesh is missing.
    """
    if kind not in KINDS:
        raise InputError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
    if kind == "self-blend":
        return forge_face(face.image, face.landmarks, recipe)
    if kind == "attribute":
        rng = np.random.default_rng(recipe.seed)
        name = str(rng.choice(list(ATTRIBUTES)))
        return edit_attribute(name, face.image, face.landmarks, strength=recipe.strength, rng=rng, mesh=face.mesh)
    if donor is None:
        raise InputError(f"a {kind} needs another face as its donor")
    shape = (face.image.shape[0], face.image.shape[1])
    if kind == "swap":
        source = aligned_donor(donor.image, donor.landmarks, shape, face.landmarks)
        return forge_face(face.image, face.landmarks, recipe, source=source)
    if face.mesh is None or donor.mesh is None:
        raise InputError(f"a {kind} needs the mesh of both faces")
    if kind in ("mesh-swap", "part-swap"):
        source = mesh_donor(donor.image, donor.mesh, shape, face.mesh)
        if kind == "mesh-swap":
            outline = mesh_outline(face.mesh)
        else:
            outline = region_outline(face.landmarks, str(np.random.default_rng(recipe.seed).choice(PARTS)))
        return forge_face(face.image, face.landmarks, recipe, source=source, outline=outline)
    amount = min(float(np.random.default_rng(recipe.seed).uniform(0.3, 0.8)) * recipe.strength, 1.0)
    source = reenacted(face.image, face.landmarks, face.mesh, donor.landmarks, donor.mesh, amount=amount)
    # the skin is the face's own and already in its place; half transparent it would show the mouth twice
    own = replace(recipe, shift=(0.0, 0.0), scale=1.0, rotation_degrees=0.0, opacity=1.0, color_match=0.0)
    return forge_face(face.image, face.landmarks, own, source=source)


def sample_kind(rng: np.random.Generator, *, mesh: bool, by_manipulation: bool = False) -> str:
    """Draw a kind for training; without meshes, one that needs none.

    by_manipulation: so that every one of the `MANIPULATES` comes as often, attributes' edits among them; without it
    there are none, and more of what swaps leave.
    """
    odds = _DRAWN_BY_MANIPULATION if by_manipulation else _DRAWN
    kind = str(rng.choice(list(odds), p=list(odds.values())))
    return kind if mesh or kind not in NEEDS_MESH else ("self-blend" if rng.random() < 0.7 else "swap")
