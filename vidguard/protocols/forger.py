"""Forging the faces in files: one kind of forgery, by one recipe, of a stretch of a clip or of a picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vidguard.config import FaceConfig
from vidguard.errors import InputError
from vidguard.faces import FaceDetector
from vidguard.faces.mesh import FaceMesh
from vidguard.forge import (
    CHAINS,
    COURSES,
    KINDS,
    NEEDS_DONOR,
    NEEDS_MESH,
    Face,
    forge_track,
    nearest_pose,
    preview_sheet,
    sample_recipe,
    send,
)
from vidguard.protocols.followed import FollowedClip, follow_clip
from vidguard.video import write_picture, write_video

PICTURE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
STILL_SUFFIX: Final = ".png"
CLIP_SUFFIX: Final = ".mp4"
_MAX_BYTES: Final = 2_000_000_000  # of frames held in memory, 29 s at 720p and 25 frames/s
_JITTER: Final = 0.01  # of the pasted face per frame, interocular distances: a steady generator's
_PREVIEW_FRAMES: Final = 12  # as many as show what codecs do between frames
_MAX_STRENGTH: Final = 10.0  # ten times training's; far beyond, nothing of a face is left and warps take for ever
_CRF: Final = 12  # the written file's own loss is far below what a chain does


@dataclass(frozen=True)
class Order:
    """What is to be forged. start and end: seconds of a clip's own time, None for its first and last frame."""

    kind: str = "self-blend"
    seed: int = 0
    strength: float = 1.0
    chain: str | None = None
    start: float | None = None
    end: float | None = None
    course: str = "steady"

    def __post_init__(self) -> None:
        """Refuse what can't be made."""
        if self.kind not in KINDS:
            raise InputError(f"no kind {self.kind!r}; choose one of {', '.join(KINDS)}")
        if not 0 <= self.strength <= _MAX_STRENGTH:
            raise InputError(f"strength must lie in 0 to {_MAX_STRENGTH:g}, got {self.strength:g}")
        if self.chain is not None and self.chain not in CHAINS:
            raise InputError(f"no chain {self.chain!r}; choose one of {', '.join(CHAINS)}")
        if self.course not in COURSES:
            raise InputError(f"no course {self.course!r}; choose one of {', '.join(COURSES)}")
        if self.start is not None and self.end is not None and not self.start < self.end:
            raise InputError(f"the stretch to forge must start ({self.start:g} s) before it ends ({self.end:g} s)")


@dataclass(frozen=True)
class Subject:
    """A file read, and the face in those of its frames that are to be forged; None where it can't be."""

    name: str
    clip: FollowedClip
    chosen: list[int]
    faces: list[Face | None]

    @property
    def suffix(self) -> str:
        """What a forgery of it is written as, unless another kind of picture is asked for."""
        return STILL_SUFFIX if self.clip.is_still else CLIP_SUFFIX


class Forger:
    """Carries out one order on any number of files.

    Raises InputError where the donor is missing, shows no face, or needs a mesh that can't be found.
    """

    def __init__(self, order: Order, donor: Path | None = None, *, with_meshes: bool = False) -> None:
        """Load networks and donor; with_meshes: find meshes though the kind could do without."""
        self.order = order
        self._detector = FaceDetector(FaceConfig())
        self._mesh = FaceMesh() if with_meshes or order.kind in NEEDS_MESH else None
        self._donors: list[Face] = []
        if donor is not None:
            clip = follow_clip(donor, self._detector, max_bytes=_MAX_BYTES)
            self._donors = [face for face in self._faces(clip, range(len(clip.frames))) if face is not None]
            if not self._donors:
                raise InputError(f"the face in {donor} has no mesh; pass one that is seen from the front")

    def read(self, file: Path) -> Subject:
        """Find the face to forge. Raises InputError without one in the stretch, and where memory ends before it."""
        clip = follow_clip(file, self._detector, max_bytes=_MAX_BYTES)
        if not clip.whole:
            raise InputError(f"only its first {clip.seconds:.0f} s fit into memory; cut it to less")
        start, end = self.order.start, self.order.end
        chosen = [
            k
            for k, time in enumerate(clip.times)
            if clip.is_still or ((start is None or time >= start) and (end is None or time < end))
        ]
        faces = self._faces(clip, chosen)
        if not any(faces):
            raise InputError("the face to forge isn't in sight, or too far from the front, all through the stretch")
        return Subject(file.name, clip, chosen, faces)

    def write(self, subject: Subject, target: Path) -> str:
        """Forge and write; gives a line that says what. Raises InputError where target's suffix doesn't fit."""
        clip, order = subject.clip, self.order
        if target.suffix.lower() not in (PICTURE_SUFFIXES if clip.is_still else (CLIP_SUFFIX,)):
            raise InputError(f"{target.name} can't hold it; give a name that ends in {subject.suffix}")
        if order.kind in NEEDS_DONOR and not self._donors:
            raise InputError(f"a {order.kind} needs a picture or clip of another person as its donor")
        rng = np.random.default_rng(order.seed)
        frames = self._frames(subject, rng)
        if order.chain is not None:
            frames = iter(send(order.chain, list(frames), fps=clip.frame_rate, rng=rng))
        if clip.is_still:
            write_picture(target, next(frames))
        else:
            write_video(target, zip(frames, clip.times), crf=_CRF, frame_rate=clip.frame_rate)
        return f"{target}: {self._said(subject)}"

    def preview(self, subject: Subject) -> NDArray[np.uint8]:
        """The sheet of `vidguard.forge.preview_sheet` for the stretch's first frames with the face."""
        faces = [face for face in subject.faces if face is not None][:_PREVIEW_FRAMES]
        recipe = sample_recipe(np.random.default_rng(self.order.seed), strength=self.order.strength)
        donor = next(iter(self._alike(faces[len(faces) // 2])), None)
        rate = subject.clip.frame_rate
        return preview_sheet(subject.name, faces, donor, recipe, kind=self.order.kind, fps=rate)

    def _frames(self, subject: Subject, rng: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
        """All of the clip's frames, each forged, where it is to be, only when it is asked for."""
        order, clip, chosen = self.order, subject.clip, set(subject.chosen)
        recipe = sample_recipe(rng, strength=order.strength)
        jitter, course = (0.0, "steady") if clip.is_still else (_JITTER, order.course)
        donors = self._alike(subject.faces[0]) if clip.is_still else self._donors
        made = forge_track(order.kind, subject.faces, recipe, jitter=jitter, rng=rng, donors=donors, course=course)
        for k, frame in enumerate(clip.frames):
            one = next(made) if k in chosen else None
            yield frame if one is None else one[0]

    def _alike(self, face: Face | None) -> list[Face]:
        """Of the donor's frames the one whose head is held most alike, where meshes tell; else the first."""
        known = [(d.landmarks, d.mesh) for d in self._donors if d.mesh is not None]
        if face is None or face.mesh is None or not known:
            return self._donors[:1]
        with_mesh = [d for d in self._donors if d.mesh is not None]
        return [with_mesh[nearest_pose(face.landmarks, face.mesh, known)]]

    def _faces(self, clip: FollowedClip, chosen: Iterable[int]) -> list[Face | None]:
        found: list[Face | None] = []
        for k in chosen:
            points = clip.landmarks[k]
            mesh = None if points is None or self._mesh is None else self._mesh.find(clip.frames[k], points)
            usable = points is not None and (mesh is not None or self.order.kind not in NEEDS_MESH)
            found.append(Face(clip.frames[k], points, mesh) if points is not None and usable else None)
        return found

    def _said(self, subject: Subject) -> str:
        order, clip = self.order, subject.clip
        sent = "" if order.chain is None else f", sent as {order.chain}"
        if clip.is_still:
            return f"{order.kind}, seed {order.seed}{sent}"
        forged = [k for k, face in zip(subject.chosen, subject.faces) if face is not None]
        span = f"{clip.times[forged[0]]:.2f} to {clip.times[forged[-1]] + 1 / clip.frame_rate:.2f} s"
        course = {"steady": "", "dropout": ", some of them dropped out"}.get(order.course, f" ({order.course})")
        return f"{order.kind}, seed {order.seed}, {len(forged)} frames from {span}{course}{sent}"
