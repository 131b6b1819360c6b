"""Weights on disk: found by name or path, checked against their manifest, read and written as safetensors only.

A weight set is a folder with model.safetensors, golden.safetensors (inputs and outputs to test an installation with),
passport.json (architecture, preprocessing, calibration, training data, figures) and CARD.md. `manifest.toml` beside the
folders names them with the sha256 of every file.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from vidguard.config import CropGeometry
from vidguard.errors import InputError, WeightsError
from vidguard.files import write_whole
from vidguard.inputs import read_regular
from vidguard.scoring.calibration import DEFAULT_ERROR_RATE, Calibration, DecisionRule
from vidguard.types import KindOfManipulation, require_plain

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Names of weight sets: each is also a folder, on every system, and leads nowhere else."""
_FILES: Final = ("model.safetensors", "golden.safetensors", "passport.json")
_MAX_TEXT_BYTES: Final = 16 << 20  # of a passport or manifest
_MAX_MODEL_BYTES: Final = 2 << 30
_REMEDY: Final = "reinstall vidguard, or import the set again"


@checked(frozen=True, config=_STRICT)
class WeightEntry:
    """One weight set by the manifest beside its folder."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
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
class TriagePoint:
    """Below which logit `Detector.triage` clears a face, and how many fakes it was then seen to miss."""

    misses: Annotated[float, Field(gt=0.0, lt=1.0)]
    """Share of fakes that are cleared all the same."""
    of: Literal["fakes", "found"]
    """Of all fakes, or of those that the whole analysis would flag."""
    encoder: str | None
    """The one encoder that judges; None: all of them, fused."""
    threshold: Annotated[float, Field(ge=-1e6, le=1e6)]


@checked(frozen=True, config=_STRICT)
class TriagePlan:
    """How triage is done with these weights, and on what its points were measured."""

    max_frames: Annotated[int, Field(ge=1, le=256)]
    points: Annotated[tuple[TriagePoint, ...], Field(max_length=64)]
    fitted_on: str


@checked(frozen=True, config=_STRICT)
class TemporalShape:
    """Keyword arguments of TemporalTransformer besides the encoders' names, no larger than a machine can build."""

    width: Annotated[int, Field(ge=1, le=1024)] = 32
    heads: Annotated[int, Field(ge=1, le=64)] = 4
    layers: Annotated[int, Field(ge=0, le=32)] = 2
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1


@checked(frozen=True, config=_STRICT)
class Passport:
    """Everything needed to rebuild and to judge a weight set."""

    name: str
    encoders: Annotated[tuple[str, ...], Field(min_length=1, max_length=32)]
    temporal: TemporalShape
    crop: CropGeometry
    frames_per_second: Annotated[float, Field(gt=0.0, le=1000.0)]
    """Rate that the temporal model was trained at."""
    calibration: Calibration
    training_data: tuple[str, ...]
    figures: dict[str, Any]
    triage: TriagePlan | None = None
    kinds: tuple[KindOfManipulation, ...] = ()
    """What the set tells apart; older sets, and those whose recipe doesn't ask for it, tell nothing apart."""

    def __post_init__(self) -> None:
        """Refuse names given twice, and figures that JSON can't carry."""
        for names in (self.encoders, self.kinds):
            if len(set(names)) != len(names):
                raise ValueError(f"{', '.join(names)}: each may be named once")
        require_plain(self.figures)

    def rule(self, error_rate: float | None) -> DecisionRule | None:
        """The decision rule of an error rate; None takes the default rate where the weights have it, else no rule.

        Raises WeightsError, with the rates there are, for any other.
        """
        rules = {rule.error_rate: rule for rule in self.calibration.rules}
        if error_rate is None:
            return rules.get(DEFAULT_ERROR_RATE)
        if error_rate not in rules:
            known = ", ".join(f"{rate:g}" for rate in rules)
            remedy = f"ask for one of {known}" if known else "leave the error rate out: they make no decisions"
            raise WeightsError(f"the validation of {self.name} promises no error rate of {error_rate:g}; {remedy}")
        return rules[error_rate]


def weights_folder() -> Path:
    """Where the shipped weights lie: inside an installed package, or beside it in a source checkout."""
    package = Path(__file__).parent
    for folder in (package / "_weights", package.parent / "weights"):
        if (folder / "manifest.toml").is_file():
            return folder
    raise WeightsError("this installation has no weights/manifest.toml; reinstall vidguard")


def list_weights(folder: Path | None = None) -> tuple[WeightEntry, ...]:
    """Every weight set that the manifest of a folder (the installation's if left out) names, the default first."""
    folder = weights_folder() if folder is None else folder
    try:
        content = read_regular(folder / "manifest.toml", max_bytes=_MAX_TEXT_BYTES)
        entries = tomllib.loads(content.decode("utf-8"))["weights"]
        found = [
            WeightEntry(name, e["description"], e["licence"], e["default"], folder / name, e["sha256"])
            for name, e in entries.items()
        ]
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise WeightsError(f"{folder / 'manifest.toml'} can't be read ({error}); {_REMEDY}") from error
    return tuple(sorted(found, key=lambda entry: not entry.default))


def find_weights(name: str | Path | None = None, folder: Path | None = None) -> WeightEntry:
    """The weight set of a name, or of the path of its folder, or the default one; a name goes before a path.

    Raises WeightsError with the known names.
    """
    entries = list_weights(folder)
    for entry in entries:
        if name == entry.name or (name is None and entry.default):
            return entry
    if name is not None and (Path(name) / "passport.json").is_file():
        path = Path(name).resolve()
        for entry in list_weights(path.parent):
            if entry.name == path.name:
                return entry
    known = ", ".join(entry.name for entry in entries) or "none"
    raise WeightsError(f"no weights named {str(name)!r}; installed: {known}; or give the path of a weight set's folder")


def read_passport(entry: WeightEntry) -> Passport:
    """Read and check a weight set's passport."""
    try:
        return TypeAdapter(Passport).validate_json(_verified(entry, "passport.json"))
    except ValidationError as error:
        raise WeightsError(f"the passport of {entry.name} doesn't fit this version: {error}") from error


def read_tensors(entry: WeightEntry, file: str = "model.safetensors") -> dict[str, Tensor]:
    """Read a tensor file after checking its sha256; tensors on the CPU.

    Raises WeightsError on any damage, and for numbers that are infinite or none: a network would answer nothing.
    """
    try:
        tensors = load(_verified(entry, file))
    except (SafetensorError, KeyError) as error:  # KeyError: a type of number that torch doesn't have
        raise WeightsError(f"{entry.folder / file} isn't a safetensors file ({error}); {_REMEDY}") from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise WeightsError(f"{entry.folder / file} has infinite numbers in {name}, or none; take another set")
    return tensors


def count_parameters(entry: WeightEntry) -> int:
    """Learnt numbers in the model file: all but the batch norms' running statistics. Loads no tensor."""
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    _verified(entry, "model.safetensors")
    path = entry.folder / "model.safetensors"
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if not name.endswith(statistics)]  # noqa: SIM118 - no mapping
            return sum(math.prod(file.get_slice(name).get_shape()) for name in names)
    except SafetensorError as error:
        raise WeightsError(f"{path} isn't a safetensors file ({error}); {_REMEDY}") from error


def write_files(target: Path, tensors: Mapping[str, Tensor], golden: Mapping[str, Tensor], passport: Passport) -> None:
    """Write the files of a weight set into its folder, which is made where it is missing."""
    target.mkdir(parents=True, exist_ok=True)
    write_whole(target / "model.safetensors", save({k: v.contiguous() for k, v in tensors.items()}))
    write_whole(target / "golden.safetensors", save(dict(golden)))
    for file in target.glob("*.safetensors"):
        file.chmod(0o644)  # safetensors writes for the owner alone; installed weights are for everyone
    write_passport(target, passport)


def write_passport(target: Path, passport: Passport) -> None:
    """Write a weight set's passport alone; `enter_in_manifest` has to follow, as its sha256 changes."""
    text = json.dumps(json.loads(TypeAdapter(Passport).dump_json(passport)), indent=1) + "\n"
    write_whole(target / "passport.json", text.encode())


def enter_in_manifest(folder: Path, name: str, description: str, licence: str) -> WeightEntry:
    """Enter the set in folder/<name>/ in folder/manifest.toml, in place of an older one of that name.

    The first set of a folder is its default. Raises WeightsError where there is a manifest that can't be read.
    """
    path = folder / "manifest.toml"
    entries = {entry.name: entry for entry in list_weights(folder)} if path.exists() else {}
    default = entries[name].default if name in entries else not entries
    sha256 = {file: hashlib.sha256((folder / name / file).read_bytes()).hexdigest() for file in _FILES}
    entries[name] = WeightEntry(name, description, licence, default, folder / name, sha256)
    lines = ["# Written by vidguard with each set; sha256 of every file that is read at run time.", ""]
    for entry in entries.values():
        lines += [f"[weights.{_quoted(entry.name)}]", f"description = {_quoted(entry.description)}"]
        lines += [f"licence = {_quoted(entry.licence)}", f"default = {str(entry.default).lower()}"]
        lines += [f"[weights.{_quoted(entry.name)}.sha256]"]
        lines += [f"{_quoted(file)} = {_quoted(digest)}" for file, digest in entry.sha256.items()]
        lines.append("")
    write_whole(path, "\n".join(lines).encode())
    return entries[name]


def is_set_name(name: str) -> bool:
    """Whether a weight set can be called this: its folder stands beside the manifest and can't take its place."""
    # some file systems don't tell capitals apart
    return re.fullmatch(NAME_PATTERN, name) is not None and name.lower() != "manifest.toml"


def _quoted(text: str) -> str:
    """A TOML string: JSON's, except that TOML has no surrogate pairs, so that other planes stay as they are."""
    return json.dumps(text, ensure_ascii=False)


def _verified(entry: WeightEntry, file: str) -> bytes:
    """A file's content, which is just what the manifest says."""
    path = entry.folder / file
    try:
        content = read_regular(path, max_bytes=_MAX_MODEL_BYTES if path.suffix == ".safetensors" else _MAX_TEXT_BYTES)
    except InputError as error:
        raise WeightsError(f"{error}; {_REMEDY}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != entry.sha256.get(file):
        raise WeightsError(f"{path} is damaged: sha256 {found[:12]}..., manifest says {entry.sha256.get(file)}")
    return content
