"""A data set's folder, read by name. Data sets come from strangers: no path in one leads out of its folder."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final, Literal, TypeAlias

from vidguard.config import STILL_SUFFIXES
from vidguard.errors import InputError
from vidguard.inputs import read_regular

_MAX_LIST_BYTES: Final = 1 << 30
_Kind: TypeAlias = Literal["file", "folder", "link"]


class Tree:
    """The files below a root, named by ids: the path below the root with forward slashes.

    A folder is listed once, however many of its files are asked for: DFDC has 119,197 of them. Names with a leading dot
    are hidden, as "._clip.mp4" on a disk that was used with a Mac.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise InputError(f"{root} is no folder; pass the one that holds the data set")
        self.root = root
        self._real_root = _real(root)
        self._listed: dict[str, dict[str, _Kind]] = {}

    def holds(self, id: str) -> bool:
        """Whether there is a file or folder with this id; False for a link that leads nowhere."""
        folder, _, name = id.rpartition("/")
        return self._kind(folder, name) is not None

    def holds_item(self, id: str) -> bool:
        """Whether there is something to judge: a file, or a folder with pictures."""
        folder, _, name = id.rpartition("/")
        kind = self._kind(folder, name)
        return kind == "file" or (kind == "folder" and bool(self.files(id, STILL_SUFFIXES)))

    def files(self, folder: str, suffixes: frozenset[str]) -> list[str]:
        """Ids of a folder's own files, sorted; none where there is no such folder."""
        chosen = (name for name in self._list(folder) if PurePosixPath(name).suffix.lower() in suffixes)
        return sorted(join(folder, name) for name in chosen if self._kind(folder, name) == "file")

    def folders(self, folder: str) -> list[str]:
        """Ids of a folder's own folders, sorted."""
        return sorted(join(folder, name) for name in self._list(folder) if self._kind(folder, name) == "folder")

    def walk(self, folder: str, suffixes: frozenset[str]) -> Iterator[str]:
        """Ids of all files below a folder. A linked folder isn't entered: its files would count twice, or for ever."""
        yield from self.files(folder, suffixes)
        for inner in self.folders(folder):
            if not (self.root / inner).is_symlink():
                yield from self.walk(inner, suffixes)

    def text(self, id: str) -> str:
        """What a list says; InputError names the file where that can't be read."""
        path = self.root / id
        try:
            return read_regular(path, max_bytes=_MAX_LIST_BYTES).decode("utf-8-sig")
        except (InputError, UnicodeDecodeError) as error:
            raise InputError(f"{path} can't be read as text ({error}); take it anew from the official copy") from None

    def json(self, id: str) -> object:
        """What a JSON file holds; InputError names the file where it is broken."""
        text = self.text(id)
        try:
            value: object = json.loads(text)
        except (ValueError, RecursionError) as error:
            broken = self.root / id
            raise InputError(f"{broken} is broken JSON ({error}); take it anew from the official copy") from None
        return value

    def records(self, id: str) -> dict[str, dict[str, object]]:
        """A JSON file that maps names to records; InputError where it is something else."""
        value = self.json(id)
        if not isinstance(value, dict) or not all(isinstance(record, dict) for record in value.values()):
            raise InputError(f"{self.root / id} must map file names to records; take it anew from the official copy")
        return value

    def rows(self, id: str) -> list[tuple[int, dict[str, str]]]:
        """Rows of a CSV file by column, each with its line number; InputError where rows don't fit the first line."""
        reader = csv.DictReader(io.StringIO(self.text(id)), restval="", strict=True)
        rows: list[tuple[int, dict[str, str]]] = []
        try:
            for row in reader:
                if None in row:
                    raise InputError(f"{self.root / id}, line {reader.line_num}: more fields than the first line names")
                rows.append((reader.line_num, row))
        except csv.Error as error:
            raise InputError(f"{self.root / id}, line {reader.line_num}: broken CSV ({error})") from None
        return rows

    def _list(self, folder: str) -> dict[str, _Kind]:
        if folder not in self._listed:
            path = self.root / folder
            kinds: dict[str, _Kind] = {}
            if path.is_dir():
                self._require_inside(path)
                with os.scandir(path) as entries:
                    kinds = {entry.name: _kind(entry) for entry in entries if not entry.name.startswith(".")}
            self._listed[folder] = kinds
        return self._listed[folder]

    def _kind(self, folder: str, name: str) -> _Kind | None:
        kind = self._list(folder).get(name)
        if kind != "link":
            return kind
        path = self.root / folder / name
        self._require_inside(path)
        return "folder" if path.is_dir() else "file" if path.is_file() else None

    def _require_inside(self, path: Path) -> None:
        if not _real(path).is_relative_to(self._real_root):
            raise InputError(f"{path} leads out of {self.root}; links are followed inside the data set only")


def join(folder: str, name: str) -> str:
    """Id of a name in a folder; the root's own id is empty."""
    return f"{folder}/{name}" if folder else name


def stem(id: str) -> str:
    """File name without folder and suffix."""
    return PurePosixPath(id).stem


def safe_name(name: str, listed_in: Path) -> str:
    """A path that a list gives, as part of an id; InputError where it could lead out of the data set."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or any(c in name for c in "\\:\0"):
        raise InputError(f"{listed_in} names {name!r}; only paths below the data set's folder are followed")
    return path.as_posix()


def _kind(entry: os.DirEntry[str]) -> _Kind:
    if entry.is_symlink():
        return "link"
    return "folder" if entry.is_dir() else "file"


def _real(path: Path) -> Path:
    # Path.resolve() raises on a circle of links before Python 3.13
    return Path(os.path.realpath(path))
