"""Weights on disk: found by name, checked against their manifest, read as safetensors only.

A weight set is a folder with model.safetensors, golden.safetensors (inputs and outputs to test an installation with),
passport.json (architecture, preprocessing, calibration, training data, figures) and CARD.md. `manifest.toml` beside the
folders names them with the sha256 of every file.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vidguard.calibration import Platt
from vidguard.config import CropGeometry
from vidguard.errors import WeightsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class WeightEntry:
    """One installed weight set by the manifest."""

    name: str
    description: str
    licence: str
    default: bool
    folder: Path
    sha256: dict[str, str]

    @property
    def size_bytes(self) -> int:
        """Size of the model file."""
        return (self.folder / "model.safetensors").stat().st_size


@checked(frozen=True, config=_STRICT)
class Calibration:
    """Fitted on sources that no weight was trained on."""

    frame: Platt
    segment: Platt
    video: Platt
    frame_threshold: float
    segment_threshold: float
    video_threshold: float
    threshold_note: str
    fitted_on: str


@checked(frozen=True, config=_STRICT)
class Passport:
    """Everything needed to rebuild and to judge a weight set."""

    name: str
    encoders: tuple[str, ...]
    temporal: dict[str, Any]
    """Keyword arguments of TemporalTransformer besides the embeddings' widths."""
    crop: CropGeometry
    frames_per_second: float
    """Rate that the temporal model was trained at."""
    calibration: Calibration
    training_data: tuple[str, ...]
    figures: dict[str, Any]


def weights_folder() -> Path:
    """Where the shipped weights lie: inside an installed package, or beside it in a source checkout."""
    package = Path(__file__).parent
    for folder in (package / "_weights", package.parent / "weights"):
        if (folder / "manifest.toml").is_file():
            return folder
    raise WeightsError("this installation has no weights/manifest.toml; reinstall vidguard")


def list_weights(folder: Path | None = None) -> tuple[WeightEntry, ...]:
    """Every weight set the manifest names, the default first."""
    folder = weights_folder() if folder is None else folder
    try:
        entries = tomllib.loads((folder / "manifest.toml").read_text())["weights"]
        found = [
            WeightEntry(name, e["description"], e["licence"], e["default"], folder / name, e["sha256"])
            for name, e in entries.items()
        ]
    except (OSError, KeyError, TypeError, AttributeError, tomllib.TOMLDecodeError) as error:
        raise WeightsError(f"{folder / 'manifest.toml'} can't be read ({error}); reinstall vidguard") from error
    return tuple(sorted(found, key=lambda entry: not entry.default))


def find_weights(name: str | None = None, folder: Path | None = None) -> WeightEntry:
    """The weight set of a name, or the default one. Raises WeightsError with the known names."""
    entries = list_weights(folder)
    for entry in entries:
        if name == entry.name or (name is None and entry.default):
            return entry
    known = ", ".join(entry.name for entry in entries) or "none"
    raise WeightsError(f"no weights named {name!r}; installed: {known}")


def read_passport(entry: WeightEntry) -> Passport:
    """Read and check a weight set's passport."""
    try:
        return TypeAdapter(Passport).validate_json(_verified(entry, "passport.json").read_bytes())
    except ValidationError as error:
        raise WeightsError(f"the passport of {entry.name} doesn't fit this version: {error}") from error


def read_tensors(entry: WeightEntry, file: str = "model.safetensors") -> dict[str, Tensor]:
    """Read a tensor file after checking its sha256; tensors on the CPU. Raises WeightsError on any damage."""
    try:
        return load_file(_verified(entry, file))
    except SafetensorError as error:
        raise WeightsError(f"{entry.folder / file} isn't a safetensors file ({error}); reinstall vidguard") from error


def _verified(entry: WeightEntry, file: str) -> Path:
    path = entry.folder / file
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"{path} is missing; reinstall vidguard") from error
    if found != entry.sha256.get(file):
        raise WeightsError(f"{path} is damaged: sha256 {found[:12]}..., manifest says {entry.sha256.get(file)}")
    return path
