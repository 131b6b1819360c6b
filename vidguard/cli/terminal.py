"""Consoles and the progress bar."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from vidguard.errors import VidguardError
from vidguard.text import printable

_LOG = logging.getLogger(__name__)


def out() -> Console:
    """Standard output, for answers."""
    return Console(file=sys.stdout, highlight=False)


def err() -> Console:
    """Standard error, for progress, and for answers where standard output carries data."""
    return Console(file=sys.stderr, highlight=False)


def complain(message: str) -> None:
    """Say on standard error what went wrong: one line, whatever the message holds."""
    _LOG.error("%s", message)


def note(message: str) -> None:
    """Say on standard error what the user must know though nothing went wrong, as `complain` does."""
    _LOG.warning("%s", message)


def reason(error: OSError, otherwise: str) -> str:
    """Say in short where the system refused and why; otherwise stands for a path it didn't name."""
    if isinstance(error, VidguardError):
        return str(error)
    return f"{otherwise if error.filename is None else error.filename}: {error.strerror or error}"


def defect(error: Exception) -> str:
    """Say in short that vidguard itself went wrong, and how to see where."""
    return f"unexpected {type(error).__name__}: {error}; this is a defect, `vidguard --debug ...` shows where"


@contextmanager
def progress_bar(title: str, *, quiet: bool) -> Iterator[Callable[[float, float | None], None]]:
    """Show seconds of source done; gone when finished, and silent where nobody watches (quiet, or not a terminal)."""
    console = err()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[seconds]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task(Text(printable(title)).plain, total=None, seconds="")

        def update(done: float, total: float | None) -> None:
            seconds = f"{done:.1f} s" if total is None else f"{min(done, total):.1f} of {total:.1f} s"
            progress.update(task, completed=done, total=total, seconds=seconds)

        yield update


@contextmanager
def count_bar(title: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show how many of how many are done; silent where nobody watches."""
    console = err()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task(printable(title), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
