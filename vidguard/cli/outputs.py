"""Where an analysis is written."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vidguard.cli.sources import STDIN, mirrored
from vidguard.errors import OutputError
from vidguard.files import fitting_name, make_folders, require_replaceable
from vidguard.marks import OVERLAY_SUFFIXES

if TYPE_CHECKING:
    from vidguard.types import Report


@dataclass(frozen=True)
class Outputs:
    """The ``--json``, ``--html`` and ``--overlay`` arguments; with several sources each is a folder."""

    json: str | None
    html: Path | None
    overlay: Path | None
    files: tuple[Path, ...]
    """All sources of the run; none where standard input is read."""
    several: bool

    def check(self) -> None:
        """Refuse, before an analysis is paid for, what can't be written."""
        taken: dict[Path, str] = {}
        for option, path in (("--json", self._json_path), ("--html", self.html), ("--overlay", self.overlay)):
            if path is None:
                continue
            first = taken.setdefault(path.resolve(), option)
            if self.several:
                if path.exists() and not path.is_dir():
                    raise typer.BadParameter(f"{path} is a file; with several sources give a folder", param_hint=option)
                continue
            if first != option:
                raise typer.BadParameter(f"{path} is what {first} writes to already", param_hint=option)
            if path.is_dir():
                raise typer.BadParameter(f"{path} is a folder; with one source give a file", param_hint=option)
            if not path.parent.is_dir():
                raise typer.BadParameter(f"there is no folder {path.parent}", param_hint=option)
            if path in self._sources:
                raise typer.BadParameter(f"{path} is the source itself", param_hint=option)
            try:
                require_replaceable(path)
            except OutputError as error:
                hint = "; --json - prints the report" if option == "--json" else ""
                raise typer.BadParameter(f"{error}{hint}", param_hint=option) from error

    def require_free(self, file: Path | None) -> None:
        """Raise OutputError, before the analysis is paid for, where an output of one of several would replace a source.

        Strangers' names decide where these outputs lie: one that collides must not stop the others.
        """
        if not self.several or file is None:
            return
        for root, suffixes in ((self._json_path, [".json"]), (self.html, [".html"]), (self.overlay, OVERLAY_SUFFIXES)):
            for place in () if root is None else (self._mirrored(root, file, suffix) for suffix in suffixes):
                if place in self._sources:
                    raise OutputError(f"{place} is a source and would be lost; give another folder")

    @property
    def json_on_stdout(self) -> bool:
        """Whether standard output carries JSON, so that tables must not."""
        return self.json == STDIN

    @property
    def _json_path(self) -> Path | None:
        return None if self.json is None or self.json_on_stdout else Path(self.json)

    def write_reports(self, report: Report, file: Path | None) -> None:
        """Write JSON and HTML. Raises OutputError."""
        if self.json_on_stdout:
            # Several reports are JSON Lines: one report per line.
            sys.stdout.write(report.to_json(indent=None if self.several else 2) + "\n")
            sys.stdout.flush()
        if self._json_path is not None:
            report.save_json(self._place(self._json_path, file, ".json"))
        if self.html is not None:
            report.save_html(self._place(self.html, file, ".html"))

    def overlay_path(self, report: Report, file: Path | None) -> Path | None:
        """Path of the overlay, or None where none is asked for or there is no picture to draw on."""
        if self.overlay is None:
            return None
        return self._place(self.overlay, file, OVERLAY_SUFFIXES[report.source.kind == "image"])

    def _place(self, root: Path, file: Path | None, suffix: str) -> Path:
        """Where an output goes; of several, makes its folder."""
        if not self.several or file is None:
            return root
        place = self._mirrored(root, file, suffix)
        make_folders(root, place.relative_to(root))
        return place

    def _mirrored(self, root: Path, file: Path, suffix: str) -> Path:
        place = root / self._below[file]
        return place.with_name(fitting_name(place.name, suffix))

    @cached_property
    def _below(self) -> dict[Path, Path]:
        return mirrored(self.files, Path())

    @cached_property
    def _sources(self) -> SameFiles:
        return SameFiles(self.files)


class SameFiles:
    """Files known by what they are: another spelling, a link or another case leads to the same one."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._known = {key for file in files for key in _keys(file)}

    def __contains__(self, path: Path) -> bool:
        """Tell whether a path leads to one of them."""
        return not self._known.isdisjoint(_keys(path))


def _keys(path: Path) -> set[object]:
    try:
        found = path.stat()
    except OSError:
        return {path.resolve()}
    return {path.resolve(), (found.st_dev, found.st_ino)}
