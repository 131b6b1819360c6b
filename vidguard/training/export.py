"""Writing a trained weight set: its files, its manifest entry and its card."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, UndefinedError
from torch import Tensor

from vidguard.detector import Judge
from vidguard.detector.golden import golden
from vidguard.encoders import CROP
from vidguard.errors import InputError
from vidguard.files import write_whole
from vidguard.scoring.calibration import Calibration
from vidguard.training.recipe import Recipe, is_shipped
from vidguard.weights import Passport, TemporalShape, enter_in_manifest, find_weights, write_files


def export(judge: Judge, passport: Passport, recipe: Recipe, folder: Path) -> None:
    """Write folder/<name>/ and its entry in folder/manifest.toml. Rounds the judge to what the files hold."""
    stored = _halved(judge.state_dict())
    judge.load_state_dict(stored)  # each value goes back into float32
    write_files(folder / recipe.name, stored, golden(judge), passport)
    enter_in_manifest(folder, recipe.name, recipe.description, recipe.licence)


def _halved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices and kernels as float16: half the size, for a relative error of 2e-4 where training leaves much more.

    Vectors stay float32: they are few, and the variances of batch norms reach below float16's range.
    """
    return {k: v.half() if v.ndim >= 2 and v.is_floating_point() else v for k, v in tensors.items()}


def write_card(folder: Path, name: str, development: Path | None = None) -> None:
    """Generate folder/<name>/CARD.md from the passport and, where measured, the development figures.

    Raises WeightsError when there are no such weights, InputError when figures that it shows are missing.
    """
    entry = find_weights(name, folder)
    # Markdown from our own figures: there is no HTML to escape
    environment = Environment(loader=PackageLoader("vidguard.training"), undefined=StrictUndefined, autoescape=False)  # noqa: S701
    try:
        text = environment.get_template("card.md.j2").render(
            entry=entry,
            name=name,
            passport=json.loads((entry.folder / "passport.json").read_text()),
            development=None if development is None else json.loads(development.read_text()),
            development_path=development,
            shipped=is_shipped(name),
        )
    except (ValueError, UndefinedError) as error:
        shown = entry.folder / "passport.json" if development is None else development
        raise InputError(f"{shown} doesn't hold the figures that a card shows: {error}") from error
    write_whole(entry.folder / "CARD.md", text.encode())


def passport_of(
    judge: Judge, recipe: Recipe, calibration: Calibration, figures: dict[str, Any], data: tuple[str, ...]
) -> Passport:
    """The passport of a trained judge; its figures hold the recipe too."""
    return Passport(
        name=recipe.name,
        encoders=judge.names,
        temporal=TemporalShape(),
        crop=CROP,
        frames_per_second=recipe.material.video_frames_per_second,
        calibration=calibration,
        training_data=data,
        figures={**figures, "recipe": asdict(recipe)},
        kinds=judge.kind_names,
    )
