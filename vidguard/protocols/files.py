"""The files of a run: videos.csv, frames.csv and segments.csv beside result.json."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from vidguard.cells import as_written, inert
from vidguard.errors import InputError
from vidguard.files import write_whole
from vidguard.inputs import read_regular
from vidguard.protocols.items import Item
from vidguard.protocols.result import ScoredItem
from vidguard.protocols.scores import Score
from vidguard.text import printable

SCORES_FILE: Final = "videos.csv"
_COLUMNS: Final = (
    *("id", "label", "method", "compression", "source", "identities"),
    *("fake_prob", "status", "seconds", "detail"),
)
_MAX_BYTES: Final = 1 << 30
_SEPARATOR: Final = "|"  # between identities: no data set names people so


def write_scores(folder: Path, scored: Sequence[ScoredItem]) -> None:
    """Write the three files, each whole or not at all. An item without a decision has an empty fake_prob."""
    write_csv(folder / SCORES_FILE, _COLUMNS, (_row(s) for s in scored))
    frames = ((s.item.id, f.track_id, f.time, f.fake_prob) for s in scored for f in s.score.frames)
    write_csv(folder / "frames.csv", ("id", "track_id", "time", "fake_prob"), frames)
    segments = ((s.item.id, g.track_id, g.start, g.end, g.fake_prob) for s in scored for g in s.score.segments)
    write_csv(folder / "segments.csv", ("id", "track_id", "start", "end", "fake_prob"), segments)


def read_scores(path: Path) -> list[ScoredItem]:
    """Read a videos.csv, of vidguard or of any other detector that writes the same columns.

    Needed are id, label ("real" or "fake") and fake_prob (empty: no decision). Raises InputError on anything else.
    """
    try:
        text = read_regular(path, max_bytes=_MAX_BYTES).decode("utf-8-sig")
        scored = [_scored(_as_written(row), path) for row in csv.DictReader(io.StringIO(text, newline=""))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} can't be read: {error}") from error
    twice = [name for name, count in Counter(s.item.id for s in scored).items() if count > 1]
    if twice:
        raise InputError(f"{path} has several rows for {twice[0]}; ids must tell apart what different methods made")
    return scored


def _row(scored: ScoredItem) -> tuple[object, ...]:
    item, score = scored.item, scored.score
    label = "fake" if item.is_fake else "real"
    people = _SEPARATOR.join(item.identities)
    about = (item.id, label, item.method, item.compression or "", item.source, people)
    prob = "" if score.fake_prob is None else repr(score.fake_prob)
    return (*about, prob, score.status, round(score.seconds, 3), printable(score.detail))


def _scored(row: dict[str, str], path: Path) -> ScoredItem:
    try:
        label, name = row["label"], row["id"]
        prob = float(row["fake_prob"]) if row["fake_prob"] else None
        if label not in ("real", "fake"):
            raise InputError(f'{path}: label must be "real" or "fake", got {label!r} (data sets disagree on what 1 is)')
        item = Item(
            id=name,
            path=Path(name),
            is_fake=label == "fake",
            method=row.get("method") or label,
            source=row.get("source") or name,
            identities=tuple(p for p in (row.get("identities") or "").split(_SEPARATOR) if p),
            compression=row.get("compression") or None,
        )
        status = row.get("status") or ("no_face" if prob is None else "ok")
        return ScoredItem(item, Score(name, prob, status, float(row.get("seconds") or 0), row.get("detail") or ""))
    except InputError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} needs the columns id, label and fake_prob, as in a run's {SCORES_FILE}") from error


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table with its headings, whole or not at all; text is made `inert`."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([inert(value) for value in row] for row in rows)
    write_whole(path, text.getvalue().encode())


def _as_written(row: dict[str, str]) -> dict[str, str]:
    return {name: as_written(value) if isinstance(value, str) else value for name, value in row.items()}
