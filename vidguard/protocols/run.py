"""Asking a subject about every item of a listing: in parallel, resumable, and not taken down by one hostile file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import TypeAdapter, ValidationError

from vidguard.errors import BackendError, InputError
from vidguard.files import write_whole
from vidguard.inputs import read_regular
from vidguard.processes import end_with_parent
from vidguard.protocols.items import Item
from vidguard.protocols.protocol import Protocol
from vidguard.protocols.scores import Score
from vidguard.protocols.subject import Subject

MakeSubject = Callable[[], Subject]
_MAX_BYTES: Final = 8 << 30  # of a ledger: a face in ten seconds of video makes a line of 4 kB
_AHEAD: Final = 2  # items handed to a worker before it asks: keeps it busy, and few are suspect when it dies


class Ledger:
    """The scores of a run on disk, a line each, written as they come: a stopped run goes on where it was.

    The first line says what was run; a ledger of another run is refused, so that scores of two never mix. A line that
    was being written when a run stopped is taken away, and any other that can't be read is passed over and counted in
    `damaged`: its item is scored again. One process at a time may hold a ledger: see `sole_owner`.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        self.scores: dict[str, Score] = {}
        self.damaged = 0
        header = json.loads(json.dumps(header))
        first = json.dumps(header).encode() + b"\n"
        content = read_regular(path, max_bytes=_MAX_BYTES) if path.exists() else b""
        if first.startswith(content):  # new, or stopped before anything was scored
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, first)
        else:
            self._read(content, header)

    def _read(self, content: bytes, header: dict[str, Any]) -> None:
        lines = content.split(b"\n")
        try:
            found = json.loads(lines[0])
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or len(lines) < 2:
            raise InputError(f"{self.path} is not a ledger of a benchmark; give another --out")
        if found != header:
            changed = sorted(k for k in {*found, *header} if found.get(k) != header.get(k))
            raise InputError(
                f"{self.path} holds another run ({', '.join(changed)} differ); give another --out, or delete it"
            )
        adapter = TypeAdapter(Score)
        for line in lines[1:-1]:  # after the last line break lies nothing, or what was being written when a run stopped
            try:
                score = adapter.validate_json(line)
            except ValidationError:
                self.damaged += 1
                continue
            self.scores[score.id] = score
        if lines[-1]:
            os.truncate(self.path, len(content) - len(lines[-1]))

    def add(self, score: Score) -> None:
        """Keep one more score, whole or not at all. Raises OSError where the disk is full."""
        line = memoryview(json.dumps(asdict(score)).encode() + b"\n")
        with self.path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                while line:  # a disk that fills up takes a part first
                    line = line[file.write(line) :]
            except OSError:
                file.truncate(before)
                raise
        self.scores[score.id] = score


def run(
    items: Sequence[Item], make_subject: MakeSubject, protocol: Protocol, ledger: Ledger, *, workers: int
) -> Iterator[Score]:
    """Score the items that the ledger lacks, and those that ended in an error; yields each score when it is kept.

    A file that kills its process is found out and gets status "error"; the others are scored all the same.
    """
    waiting = [item for item in items if item.id not in ledger.scores or ledger.scores[item.id].status == "error"]
    while waiting:
        finished, suspects = set[str](), list[Item]()
        for score in _run_until_death(waiting, make_subject, protocol, workers, suspects):
            ledger.add(score)
            finished.add(score.id)
            yield score
        for item in suspects:
            score = _run_alone(item, make_subject, protocol)
            ledger.add(score)
            finished.add(item.id)
            yield score
        waiting = [item for item in waiting if item.id not in finished]


def _run_until_death(
    items: Sequence[Item], make_subject: MakeSubject, protocol: Protocol, workers: int, suspects: list[Item]
) -> Iterator[Score]:
    """Scores until all are done or a process dies; then `suspects` are the items that were in work."""
    todo, running = iter(items), dict[Future[Score], Item]()
    with _pool(workers, make_subject) as pool:
        try:
            while True:
                while len(running) < workers * _AHEAD and (item := next(todo, None)) is not None:
                    running[pool.submit(_score, item, protocol)] = item
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    score = future.result()
                    del running[future]
                    yield score
        except BrokenProcessPool:
            suspects += running.values()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # whoever stops a run doesn't wait for what is queued


def _run_alone(item: Item, make_subject: MakeSubject, protocol: Protocol) -> Score:
    with _pool(1, make_subject) as pool:
        try:
            pool.submit(_ready).result()
        except BrokenProcessPool as error:
            raise BackendError("worker processes die before they start; is there enough memory for them?") from error
        try:
            return pool.submit(_score, item, protocol).result()
        except BrokenProcessPool:
            return Score(item.id, None, "error", 0.0, detail="the process that judged it died")


def _pool(workers: int, make_subject: MakeSubject) -> ProcessPoolExecutor:
    # a process a core, one thread each: small tensors gain nothing from threads
    spawn = get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start, initargs=(make_subject,))


_subject: Subject | None = None


def _start(make_subject: MakeSubject) -> None:
    global _subject
    end_with_parent()
    torch.set_num_threads(1)
    _subject = make_subject()


def _ready() -> bool:
    return _subject is not None


def _score(item: Item, protocol: Protocol) -> Score:
    assert _subject is not None
    try:
        return _subject.score(item, protocol)
    except Exception as error:  # noqa: BLE001 -- a defect that one file finds must not stop the others
        return Score(item.id, None, "error", 0.0, detail=f"unexpected {type(error).__name__}: {error}")
