"""Pristine clips with forged stretches of known place: how well a detector says where, not only whether."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from vidguard.config import VIDEO_SUFFIXES, AnalysisConfig
from vidguard.errors import InputError, VidguardError
from vidguard.faces import FaceDetector
from vidguard.files import fitting_name
from vidguard.forge import forge_stretch, sample_recipe
from vidguard.protocols.files import write_csv
from vidguard.protocols.followed import follow_clip
from vidguard.protocols.items import Item, Listing
from vidguard.video import write_video

_MAX_BYTES: Final = 1_000_000_000  # of frames held in memory, 14 s at 720p; longer clips are cut
_MIN_SECONDS: Final = 2.0
_FORGED_SECONDS: Final = (0.5, 10.0)
_MAX_FORGED_SHARE: Final = 0.6
_MAX_OTHERS: Final = 0.1  # of the frames: a detector's false alarms are short, people aren't
_CRF: Final = (20, 33)  # both versions of a clip alike, so that compression tells nothing


def forge_clips(folder: Path, out: Path, *, seed: int, on_clip: Callable[[int, int], None] | None = None) -> Listing:
    """Write of every pristine clip below `folder` a genuine and a forged copy into `out`, with clips.csv for the truth.

    The forged stretch lies anywhere in the clip, 0.5 to 10 s long and at most 0.6 of it; face, place, recipe and
    compression follow from the seed and the clip's name. Clips without a face, or shorter than 2 s, are named in the
    listing's notes. Raises InputError where nothing is left.
    """
    sources = [p for p in _clips(folder) if not p.resolve().is_relative_to(out.resolve())]
    faces = FaceDetector(AnalysisConfig().faces)
    out.mkdir(parents=True, exist_ok=True)
    items: list[Item] = []
    notes: list[str] = []
    for number, path in enumerate(sources, start=1):
        name = path.relative_to(folder).as_posix()
        try:
            items += _forge(path, name, out, faces, np.random.default_rng([seed, *os.fsencode(name)]))
        except VidguardError as error:
            notes.append(f"{name} was left out: {error}")
        if on_clip is not None:
            on_clip(number, len(sources))
    if not items:
        raise InputError(f"no clip of {_MIN_SECONDS:g} s or more with a face is in {folder}; pass a folder with some")
    write_csv(out / "clips.csv", ("path", "label", "source", "forged_start", "forged_end"), map(_truth, items))
    return Listing("partial forgeries", f"seed {seed}", tuple(items), out, notes=tuple(notes))


def _forge(path: Path, name: str, out: Path, faces: FaceDetector, rng: np.random.Generator) -> list[Item]:
    clip = follow_clip(path, faces, max_bytes=_MAX_BYTES)
    if clip.others > _MAX_OTHERS * len(clip.frames):  # their time would be neither forged nor not
        raise InputError("it shows several faces, or several shots")
    frames, times, points, seconds = clip.frames, clip.times, clip.landmarks, clip.seconds
    if seconds < _MIN_SECONDS:
        raise InputError(f"{seconds:.1f} s of it fit into memory, less than {_MIN_SECONDS:g} s")
    length = float(rng.uniform(_FORGED_SECONDS[0], min(_FORGED_SECONDS[1], _MAX_FORGED_SHARE * seconds)))
    begin = times[0] + float(rng.uniform(0, seconds - length))
    chosen = [k for k, time in enumerate(times) if begin <= time < begin + length]
    if not chosen:
        raise InputError("no frame lies in the stretch to forge: it has too few frames a second")
    first, last = chosen[0], chosen[-1] + 1
    if any(points[k] is None for k in chosen):
        raise InputError("its face isn't in sight all through the stretch to forge")
    jitter = float(rng.choice([0.0, 0.01, 0.03]))
    forged = forge_stretch(frames[first:last], points[first:last], sample_recipe(rng), jitter=jitter, rng=rng)
    crf = int(rng.integers(*_CRF))
    stem = fitting_name(name.replace("/", "__"), ".genuine.mp4").removesuffix(".genuine.mp4")
    copies = {"genuine": frames, "forged": [*frames[:first], *forged, *frames[last:]]}
    rate = clip.frame_rate
    for kind, pictures in copies.items():
        write_video(out / f"{stem}.{kind}.mp4", zip(pictures, [t - times[0] for t in times]), crf=crf, frame_rate=rate)
    end = times[last] if last < len(times) else times[-1] + 1 / rate
    truth = ((times[first] - times[0], end - times[0]),)
    return [
        Item(f"{stem}.genuine.mp4", out / f"{stem}.genuine.mp4", False, "genuine", name, forged=()),
        Item(f"{stem}.forged.mp4", out / f"{stem}.forged.mp4", True, "self-blended stretch", name, forged=truth),
    ]


def _clips(folder: Path) -> list[Path]:
    found = (p for p in folder.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and not p.name.startswith("."))
    return sorted(p for p in found if p.is_file())


def _truth(item: Item) -> tuple[object, ...]:
    return (item.id, "fake" if item.is_fake else "real", item.source, *(item.forged[0] if item.forged else ("", "")))
