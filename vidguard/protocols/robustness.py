"""The same items again under corruptions: how soon a detector loses its way, and on what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from vidguard.config import VIDEO_SUFFIXES
from vidguard.errors import InputError, VidguardError
from vidguard.files import write_whole
from vidguard.protocols.conduct import OnScore, conduct
from vidguard.protocols.corruptions import CORRUPTIONS, Corruption
from vidguard.protocols.items import Item, Listing
from vidguard.protocols.page import render_robustness_html, render_robustness_markdown
from vidguard.protocols.protocol import Protocol
from vidguard.protocols.result import Robustness, RobustnessRow
from vidguard.protocols.run import MakeSubject
from vidguard.protocols.scores import Score
from vidguard.protocols.subject import Subject

NONE: Final = "none"


@dataclass(frozen=True)
class CorruptedSubject:
    """Another subject, shown each item through one corruption. Corrupted files live as long as they are looked at."""

    inner: Subject
    corruption: Corruption
    level: float

    def describe(self) -> dict[str, Any]:
        """The inner subject's own account, and what was put before its eyes."""
        return {**self.inner.describe(), "corruption": self.corruption.name, "level": self.level}

    def score(self, item: Item, protocol: Protocol) -> Score:
        """Corrupt the item and let the inner subject answer."""
        with TemporaryDirectory() as folder:
            target = Path(folder) / "corrupted.mp4"
            try:
                self.corruption.write(item.path, target, self.level)
            except (VidguardError, OSError, ValueError) as error:
                return Score(item.id, None, "error", 0.0, detail=str(error))
            return self.inner.score(replace(item, path=target), protocol)

    def thumbnail(self, item: Item) -> None:
        """None is drawn: the clean items' page has them, and each would cost a corrupted copy."""


def measure_robustness(
    listing: Listing,
    make_subject: MakeSubject,
    protocol: Protocol,
    out: Path,
    *,
    corruptions: Sequence[str] | None = None,
    workers: int,
    on_score: OnScore | None = None,
) -> Robustness:
    """Measure the clean items and every level of every corruption, each into a folder of its own below `out`.

    Raises InputError for an unknown corruption, and for folders of crops, which aren't videos.
    """
    chosen = _chosen(corruptions)
    if not all(item.path.suffix.lower() in VIDEO_SUFFIXES for item in listing.items):
        raise InputError(f"{listing.dataset} has stills or folders of crops; only videos can be corrupted as video")
    steps: list[tuple[str, str, str, MakeSubject]] = [(NONE, "", "", make_subject)]
    steps += [
        (c.name, f"{level:g}", c.unit, partial(_make_corrupted, make_subject, c.name, level))
        for c in chosen
        for level in c.levels
    ]
    rows: list[RobustnessRow] = []
    about = ""
    for number, (name, level, unit, make) in enumerate(steps):
        counted = None if on_score is None else _counted(on_score, number, len(steps))
        folder = out / (f"{name}-{level}" if level else name)
        measured = conduct(listing, make, protocol, folder, workers=workers, on_score=counted)
        about = about or measured.result.detector.name
        rows.append(RobustnessRow(name, level, unit, measured.result.pooled))
    table = Robustness(listing.dataset, listing.split, protocol.as_dict(), about, tuple(rows))
    write_whole(out / "robustness.json", table.to_json().encode())
    write_whole(out / "robustness.md", render_robustness_markdown(table).encode())
    write_whole(out / "robustness.html", render_robustness_html(table).encode())
    return table


def _chosen(names: Sequence[str] | None) -> tuple[Corruption, ...]:
    known = {c.name: c for c in CORRUPTIONS}
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise InputError(f"no corruption {unknown[0]!r}; choose of {', '.join(known)}")
    return tuple(c for c in CORRUPTIONS if names is None or c.name in names)


def _make_corrupted(make_subject: MakeSubject, name: str, level: float) -> Subject:
    return CorruptedSubject(make_subject(), _chosen([name])[0], level)


def _counted(on_score: OnScore, step: int, steps: int) -> Callable[[Score, int, int], None]:
    return lambda score, done, total: on_score(score, step * total + done, steps * total)
