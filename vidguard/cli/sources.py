"""From arguments to files: folders, globs, standard input."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vidguard.config import STILL_SUFFIXES, VIDEO_SUFFIXES
from vidguard.marks import is_own_overlay
from vidguard.sniff import may_show_something

STDIN: Final = "-"
MEDIA_SUFFIXES: Final = VIDEO_SUFFIXES | STILL_SUFFIXES
"""What a folder is searched for, beside files of other names whose first bytes are those of a video or picture.

A file named itself, or by a glob, is taken whatever it is."""
_MAX_NAMED: Final = 5


@dataclass(frozen=True)
class Expanded:
    """The files to analyse, in order and without repeats, a line for each argument that gave none, or not all."""

    files: tuple[Path, ...]
    problems: tuple[str, ...]
    passed_over: tuple[str, ...]
    """A line for each folder in which files were passed over, with their number and some of their names."""
    overlays: tuple[str, ...]
    """The same of files that say they are overlays of an earlier run: as anybody can say so, never to be kept quiet."""
    several: bool
    """Whether outputs are folders: more than one file was named, or a folder or glob that may hold any number."""


def expand(arguments: Iterable[str]) -> Expanded:
    """Find the files behind the arguments; ``-`` isn't one of them."""
    arguments = tuple(arguments)
    files: dict[Path, Path] = {}
    problems: list[str] = []
    passed_over: list[str] = []
    overlays: list[str] = []
    for argument in arguments:
        found, others = _files_of(argument) if argument else ([], [])  # Path("") would be the current folder
        if others:
            passed_over.append(f"{argument}: {_told(others)}")
        own = set() if Path(argument).is_file() else {path for path in found if is_own_overlay(path)}
        if own:
            found = [path for path in found if path not in own]
            overlays.append(
                f"{argument}: passed over {len(own)} that say they are overlays of vidguard, {min(own).name} first; "
                "a file that is named itself is taken"
            )
        if not found:
            problems.append(f"{argument}: {_why_nothing(argument)}" if argument else "a source's name is empty")
        for path in found:
            files.setdefault(path.resolve(), path)
    several = len(arguments) > 1 or any(a and (Path(a).is_dir() or _is_glob(a)) for a in arguments)
    return Expanded(tuple(files.values()), tuple(problems), tuple(passed_over), tuple(overlays), several)


def mirrored(files: Iterable[Path], folder: Path) -> dict[Path, Path]:
    """Where each file's outputs go inside a folder, without suffix: its place below all files' common parent.

    Two files never share a name, because no two share a path and suffixes are added to, not replaced.
    """
    resolved = {path: path.resolve() for path in files}
    if not resolved:
        return {}
    root = os.path.commonpath([path.parent for path in resolved.values()])
    return {path: folder / full.relative_to(root) for path, full in resolved.items()}


def _is_glob(argument: str) -> bool:
    return glob.has_magic(argument) and not Path(argument).exists()


def _files_of(argument: str) -> tuple[list[Path], list[Path]]:
    """The files to analyse, and those of a folder that aren't, by name and content, anything to look at."""
    path = Path(argument)
    if path.is_dir():
        # A leading dot hides a file; on media from a Mac, "._clip.mp4" is no video.
        inside = (p for p in path.rglob("*") if not any(part.startswith(".") for part in p.relative_to(path).parts))
        files = sorted(p for p in inside if p.is_file())
        taken = [p for p in files if p.suffix.lower() in MEDIA_SUFFIXES or may_show_something(p)]
        return taken, sorted(set(files) - set(taken))
    if path.exists():
        return [path], []
    if _is_glob(argument):
        # glob.glob, because Path.glob takes no absolute pattern.
        return sorted(p for p in map(Path, glob.glob(argument, recursive=True)) if p.is_file()), []  # noqa: PTH207
    return [], []


def _told(others: list[Path]) -> str:
    names = ", ".join(p.name for p in others[:_MAX_NAMED]) + (", ..." if len(others) > _MAX_NAMED else "")
    return f"passed over {len(others)} file(s) that are no video or image by name or content: {names}"


def _why_nothing(argument: str) -> str:
    if Path(argument).is_dir():
        return "no video or image in this folder, by name or content; name files themselves to analyse them anyway"
    return "nothing matches this pattern" if _is_glob(argument) else "no such file"
