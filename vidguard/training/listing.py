"""What there is to learn from: rows of CSV manifests, or the files of folders with real/ and fake/."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from vidguard.config import STILL_SUFFIXES, VIDEO_SUFFIXES
from vidguard.errors import InputError
from vidguard.inputs import read_regular
from vidguard.training.recipe import MaterialRecipe

SPLITS: Final = ("train", "val")
_COLUMNS: Final = ("path", "label", "kind", "dataset", "split", "group")
_LABELS: Final = ("real", "fake")
_MAX_BYTES: Final = 1 << 30  # of a manifest
_VALIDATION_ONE_IN: Final = 5  # groups of a folder without split folders


@dataclass(frozen=True)
class Row:
    """One face crop's provenance. label: "real" or "fake"; group: source that must not be split; time: seconds."""

    path: str
    label: str
    kind: str
    dataset: str
    split: str
    group: str
    track: int = 0
    time: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a label that would count as genuine because it is misspelt."""
        if self.label not in _LABELS:
            raise InputError(f"{self.path} is labelled {self.label!r}; labels are real and fake")

    @property
    def is_fake(self) -> bool:
        """Whether the face is synthetic or manipulated."""
        return self.label == "fake"

    @property
    def source(self) -> str:
        """What mustn't be split: the group, or where it isn't known the file, which then stands for itself."""
        return self.group or self.path


def list_material(sources: Sequence[Path], recipe: MaterialRecipe) -> list[tuple[Path, Row]]:
    """Training and validation files of manifests and folders with their rows, in the order given.

    Groups and data sets that the recipe reserves get the split they are for. Raises InputError where a source can't be
    read, none of its files is there, one is listed twice, a group stands in two splits, or a reserved group is missing.
    """
    reserved = dict.fromkeys(recipe.temporal_groups, "temporal") | dict.fromkeys(recipe.validation_groups, "val")
    listed: list[tuple[Path, Row]] = []
    for source in sources:
        root, rows = (source, read_folder(source)) if source.is_dir() else (source.parent, read_manifest(source))
        chosen = [r for r in rows if r.split in SPLITS]
        files = [root / r.path for r in chosen]
        if files and not any(file.is_file() for file in files):
            raise InputError(
                f"none of the {len(files)} files of {source} is there, such as {files[0]}; paths are relative to the "
                "manifest's folder"
            )
        listed += zip(files, (replace(r, split=_split_for(r, recipe, reserved)) for r in chosen))
    _require_distinct(row for _, row in listed)
    require_disjoint((row for _, row in listed), reserved)
    return listed


def _split_for(row: Row, recipe: MaterialRecipe, reserved: dict[str, str]) -> str:
    return "val" if row.dataset in recipe.validation_datasets else reserved.get(row.group, row.split)


def read_manifest(index: Path) -> list[Row]:
    """Every row of a CSV manifest with path,label,kind,dataset,split,group; paths are relative to its folder."""
    content = read_regular(index, max_bytes=_MAX_BYTES)
    try:
        text = content.decode("utf-8-sig")
        table = csv.DictReader(io.StringIO(text, newline=""))
        missing = [c for c in _COLUMNS if c not in (table.fieldnames or ())]
        rows = [] if missing else [_row(fields) for fields in table]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{index} can't be read: {error}; --material takes a CSV manifest or a folder") from error
    if missing:
        raise InputError(f"{index} has no column {', '.join(missing)}; a manifest has {','.join(_COLUMNS)}")
    return rows


def read_folder(folder: Path) -> list[Row]:
    """Rows of the videos and pictures below real/ and fake/, or below train/real/, train/fake/, val/real/, val/fake/.

    The data set is the folder's name, the group a file's stem: a forgery is named like the file it was made from. A
    further folder below fake/ names the kind. Without split folders one group in five, by a hash of its name, is
    validation. Raises InputError where nothing is found.
    """
    dataset = folder.resolve().name
    rows = []
    for split in ("", *SPLITS):
        for label in _LABELS:
            top = folder / split / label
            for path in sorted(top.rglob("*")):
                inside = path.relative_to(top).parts
                if _is_media(path) and not any(part.startswith(".") for part in inside):
                    kind = inside[0] if len(inside) > 1 else "none" if label == "real" else "unknown"
                    name = path.relative_to(folder).as_posix()
                    rows.append(Row(name, label, kind, dataset, split or split_of(path.stem), path.stem))
    if not rows:
        raise InputError(f"{folder} has no video or picture below real/ or fake/, nor below train/real/, val/fake/ ...")
    return rows


def split_of(group: str) -> str:
    """Split of a group by a hash of its name: the same on every machine, and whatever other files there are."""
    name = group.encode(errors="surrogateescape")  # as the file system has it: it needn't be UTF-8
    number = int.from_bytes(hashlib.sha256(name).digest()[:8], "big")
    return "val" if number % _VALIDATION_ONE_IN == 0 else "train"


def require_disjoint(rows: Iterable[Row], reserved_groups: Collection[str]) -> None:
    """Raise InputError when a group stands in two splits, or when a reserved group is missing.

    Rows without a group (unknown source) are taken as they are.
    """
    splits: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.group and splits.setdefault((row.dataset, row.group), row.split) != row.split:
            raise InputError(f"group {row.group} of {row.dataset} stands in two splits")
    missing = set(reserved_groups) - {group for _, group in splits}
    if missing:
        raise InputError(f"no manifest has the recipe's reserved groups {', '.join(sorted(missing))}")


def _require_distinct(rows: Iterable[Row]) -> None:
    """Raise InputError where two rows have one data set and path: their frames couldn't be told apart."""
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if (row.dataset, row.path) in seen:
            raise InputError(
                f"{row.path} of {row.dataset} is listed twice; list it once, or give one of the two another data set"
            )
        seen.add((row.dataset, row.path))


def is_video(path: str) -> bool:
    """Whether a file is taken as a video, by its suffix."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def _row(fields: dict[str, str | None]) -> Row:
    path, label, kind, dataset, split, group = (fields[column] or "" for column in _COLUMNS)  # None: the line is short
    return Row(path, label, kind, dataset, split, group)


def _is_media(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES | STILL_SUFFIXES and path.is_file()
