"""Where an analysis is written."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vidguard.cli.sources import STDIN, mirrored

if TYPE_CHECKING:
    from vidguard.types import Report


@dataclass(frozen=True)
class Outputs:
    """The ``--json``, ``--html`` and ``--overlay`` arguments; with several sources each is a folder."""

    json: str | None
    html: Path | None
    overlay: Path | None
    several: bool

    def check(self, files: Iterable[Path]) -> None:
        """Refuse, before an analysis is paid for, what can't be written; make the folders."""
        taken: dict[Path, str] = {}
        for option, path in (("--json", self._json_path), ("--html", self.html), ("--overlay", self.overlay)):
            if path is None:
                continue
            first = taken.setdefault(path.resolve(), option)
            if first != option and not self.several:
                raise typer.BadParameter(f"{path} is what {first} writes to already", param_hint=option)
            if self.several and path.exists() and not path.is_dir():
                raise typer.BadParameter(f"{path} is a file; with several sources give a folder", param_hint=option)
            if not self.several and path.is_dir():
                raise typer.BadParameter(f"{path} is a folder; with one source give a file", param_hint=option)
            if not self.several and not path.parent.is_dir():
                raise typer.BadParameter(f"there is no folder {path.parent}", param_hint=option)
            if not self.several and path.resolve() in {file.resolve() for file in files}:
                raise typer.BadParameter(f"{path} is the source itself", param_hint=option)

    @property
    def json_on_stdout(self) -> bool:
        """Whether standard output carries JSON, so that tables must not."""
        return self.json == STDIN

    @property
    def _json_path(self) -> Path | None:
        return None if self.json is None or self.json_on_stdout else Path(self.json)

    def write_reports(self, report: Report, file: Path | None, files: tuple[Path, ...]) -> None:
        """Write JSON and HTML. Raises OSError."""
        if self.json_on_stdout:
            # Several reports are JSON Lines: one report per line.
            sys.stdout.write(report.to_json(indent=None if self.several else 2) + "\n")
            sys.stdout.flush()
        if self._json_path is not None:
            report.save_json(self._place(self._json_path, file, files, ".json"))
        if self.html is not None:
            report.save_html(self._place(self.html, file, files, ".html"))

    def overlay_path(self, report: Report, file: Path | None, files: tuple[Path, ...]) -> Path | None:
        """Path of the overlay, or None where none is asked for or there is no picture to draw on."""
        if self.overlay is None:
            return None
        return self._place(
            self.overlay, file, files, ".overlay" + (".png" if report.source.kind == "image" else ".mp4")
        )

    def _place(self, path: Path, file: Path | None, files: tuple[Path, ...], suffix: str) -> Path:
        if not self.several or file is None:
            return path
        place = mirrored(files, path)[file]
        place.parent.mkdir(parents=True, exist_ok=True)
        return place.with_name(place.name + suffix)
