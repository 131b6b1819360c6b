"""A sheet to look at: one face, every kind of forgery of it, where each differs, and what is left of one on its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vidguard.errors import InputError
from vidguard.faces.regions import FloatImage
from vidguard.forge.attributes import ATTRIBUTES, edit_attribute
from vidguard.forge.blend import BlendRecipe, ByteImage
from vidguard.forge.chains import CHAINS, send
from vidguard.forge.clip import forge_track
from vidguard.forge.kinds import KINDS, Face, forge_kind

_CELL: Final = 208
_LABEL: Final = 22
_GREY: Final = 48
_COLUMNS: Final = len(KINDS) + len(ATTRIBUTES)  # the pristine face, every kind, and each attribute in its own column


def preview_sheet(
    title: str, faces: Sequence[Face], donor: Face | None, recipe: BlendRecipe, *, kind: str, fps: float
) -> ByteImage:
    """Draw what the forge makes of one face, about 2000 x 750 px RGB, always equally wide.

    faces: the face in one frame or in a few consecutive ones, of which the middle one is shown; donor: for the kinds
    that need one; kind: of the forgery shown after each of the `CHAINS`, through which all the frames are sent. A kind
    that can't be made of these faces says why in its cell.
    """
    face = faces[len(faces) // 2]
    window = _Window.around(face.landmarks)
    made = [_cells(name, kind_, face, donor, recipe, window) for name, kind_ in _columns()]
    top = [_labelled(window.cut(face.image), "pristine"), *(forged for forged, _ in made)]
    below = [_labelled(_blank(), ""), *(mask for _, mask in made)]
    rows = [_strip(title), _row(top), _row(below), _row(_sent(faces, donor, recipe, kind, fps, window))]
    return np.concatenate(rows, axis=0)


@dataclass(frozen=True)
class _Window:
    """A square of a picture. center: (2,) and side in px."""

    center: NDArray[np.float32]
    side: float

    @classmethod
    def around(cls, landmarks: NDArray[np.float32]) -> _Window:
        eyes, mouth = landmarks[:2], landmarks[3:].mean(0)
        reach = max(float(np.hypot(*(eyes[1] - eyes[0]))), float(np.hypot(*(mouth - eyes.mean(0)))))
        return cls(0.6 * eyes.mean(0) + 0.4 * mouth, 4.2 * reach)

    def cut(self, picture: NDArray[Any], scale: float = 1.0) -> ByteImage:
        """Show the window, a cell wide; scale: the picture's size relative to the one the window was made for."""
        half = self.side * scale / 2
        x0, y0 = np.floor(self.center * scale - half).astype(int)
        side = max(round(2 * half), 1)
        reach = max(side, 1)
        padded = cv2.copyMakeBorder(picture, reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=(_GREY,) * 3)
        seen = padded[y0 + reach : y0 + reach + side, x0 + reach : x0 + reach + side]
        interpolation = cv2.INTER_AREA if side > _CELL else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(seen, (_CELL, _CELL), interpolation=interpolation), np.uint8)


def _columns() -> list[tuple[str, str]]:
    """Names above the columns, and the kind each shows."""
    plain = [(kind, kind) for kind in KINDS if kind != "attribute"]
    return plain + [(name, "attribute") for name in ATTRIBUTES]


def _cells(
    name: str, kind: str, face: Face, donor: Face | None, recipe: BlendRecipe, window: _Window
) -> tuple[ByteImage, ByteImage]:
    try:
        if kind == "attribute":
            rng = np.random.default_rng(recipe.seed)
            forged, mask = edit_attribute(
                name, face.image, face.landmarks, strength=recipe.strength, rng=rng, mesh=face.mesh
            )
        else:
            forged, mask = forge_kind(kind, face, donor, recipe)
    except InputError as why:
        return _labelled(_blank(str(why)), name), _labelled(_blank(), "")
    return _labelled(window.cut(forged), name), _labelled(window.cut(_gray(mask)), f"{name}: mask")


def _sent(
    faces: Sequence[Face], donor: Face | None, recipe: BlendRecipe, kind: str, fps: float, window: _Window
) -> list[ByteImage]:
    """One cell per chain."""
    rng = np.random.default_rng(recipe.seed)
    try:
        made = forge_track(kind, faces, recipe, jitter=0.0, rng=rng, donors=() if donor is None else [donor])
        frames = [one[0] for one in made if one is not None]
    except InputError as why:
        return [_labelled(_blank(str(why)), f"{kind}, sent")]
    cells = [_labelled(window.cut(frames[len(frames) // 2]), f"{kind}, unsent")]
    for chain in CHAINS:
        sent = send(chain, frames, fps=fps, rng=np.random.default_rng(recipe.seed))[len(frames) // 2]
        cells.append(_labelled(window.cut(sent, sent.shape[1] / frames[0].shape[1]), chain))
    return cells


def _gray(mask: FloatImage) -> ByteImage:
    return np.repeat(np.round(mask * 255).astype(np.uint8)[..., None], 3, axis=2)


def _blank(words: str = "") -> ByteImage:
    cell = np.full((_CELL, _CELL, 3), _GREY, np.uint8)
    for line, part in enumerate(_wrapped(words)):
        _write(cell, part, 24 + 20 * line)
    return cell


def _wrapped(words: str, width: int = 26) -> list[str]:
    lines = [""]
    for word in words.split():
        joined = f"{lines[-1]} {word}".strip()
        lines[-1:] = [joined] if len(joined) <= width else [lines[-1], word]
    return lines


def _labelled(cell: ByteImage, label: str) -> ByteImage:
    strip = np.zeros((_LABEL, _CELL, 3), np.uint8)
    _write(strip, label, 15)
    return np.concatenate([strip, cell], axis=0)


def _strip(title: str) -> ByteImage:
    strip = np.zeros((_LABEL, _COLUMNS * _CELL, 3), np.uint8)
    _write(strip, title, 15)
    return strip


def _write(picture: ByteImage, words: str, baseline: int) -> None:
    plain = words.encode("ascii", "replace").decode()
    cv2.putText(picture, plain, (4, baseline), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)


def _row(cells: list[ByteImage]) -> ByteImage:
    missing = [_labelled(_blank(), "")] * (_COLUMNS - len(cells))
    return np.concatenate([*cells, *missing], axis=1)
