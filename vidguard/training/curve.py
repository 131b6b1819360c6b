"""What a training tells while it runs: a table of losses, TensorBoard's event files, a log of words, a bar."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vidguard.files import write_whole

_COLUMNS: Final = ("round", "step", "loss", "learning_rate", "seconds")


class Curve:
    """<name>.csv with round, step, mean loss since the last row, learning rate, seconds of this run of the round.

    With `tensorboard` installed the same goes to tensorboard/<name>. A round that goes on from an earlier step first
    loses the rows past it, so that each step stands there once.
    """

    def __init__(self, work: Path, name: str, number: int, *, done: int, before: int) -> None:
        self.path, self.number, self.before = work / f"{name}.csv", number, before
        self.started = time.monotonic()
        self._keep_up_to(done)
        self.board = _board(work / "tensorboard" / name, purge_step=before + done + 1)

    def add(self, step: int, loss: float, learning_rate: float) -> None:
        """One row; step counts from 1 in each round, on TensorBoard through all rounds."""
        seconds = time.monotonic() - self.started
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow((self.number, step, f"{loss:.5f}", f"{learning_rate:.4g}", f"{seconds:.1f}"))
        if self.board is not None:
            self.board.add_scalar("loss", loss, self.before + step)
            self.board.add_scalar("learning_rate", learning_rate, self.before + step)

    def close(self) -> None:
        """Write what TensorBoard's writer still holds."""
        if self.board is not None:
            self.board.close()

    def _keep_up_to(self, done: int) -> None:
        lines = self.path.read_text().splitlines()[1:] if self.path.is_file() else []
        place = (self.number, done)
        kept = [line for line in lines if tuple(int(cell) for cell in line.split(",")[:2]) <= place]
        write_whole(self.path, "".join(f"{line}\n" for line in (",".join(_COLUMNS), *kept)).encode())


class Bar:
    """Steps done and to do with the loss and the time left, on standard error; silent where nobody watches."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def update(self, step: int, loss: float) -> None:
        """Show a step."""
        self._progress.update(self._task, completed=step, loss=f"loss {loss:.3f}")


@contextmanager
def bar(title: str, *, done: int, total: int) -> Iterator[Bar]:
    """A bar from `done` to `total` steps."""
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Bar(progress, progress.add_task(title, total=total, completed=done, loss=""))


def _board(folder: Path, *, purge_step: int) -> Any | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=purge_step)
