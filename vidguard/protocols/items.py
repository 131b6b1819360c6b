"""What a data set asks a detector to judge: items with ids that can't collide, truth, and what they were made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vidguard.errors import InputError


@dataclass(frozen=True)
class Item:
    """One thing to judge: a video, a still, or a folder with the crops of one face in order of time."""

    id: str
    """Path below the data set's root with forward slashes, so the folder of the method and compression is part of it:
    000_003.mp4 exists once for every method of FaceForensics++."""
    path: Path
    is_fake: bool
    method: str
    """Forging method ("Deepfakes"), or the collection that a genuine video comes from ("youtube")."""
    source: str
    """The footage it was made from. Items of one source aren't independent: they are resampled and split together."""
    identities: tuple[str, ...] = ()
    """People who can be seen or whose face was used, where the data set says so."""
    compression: str | None = None
    """FaceForensics++: "raw", "c23" or "c40"."""
    forged: tuple[tuple[float, float], ...] | None = None
    """Forged stretches in seconds [start, end), where known; None: everything is what `is_fake` says."""


@dataclass(frozen=True)
class Listing:
    """A split of a data set as found on disk, with an account of what the split names and the disk lacks."""

    dataset: str
    split: str
    items: tuple[Item, ...]
    root: Path
    """The folder that ids are names in."""
    missing: tuple[str, ...] = ()
    """Ids that the official lists name and the disk lacks."""
    notes: tuple[str, ...] = ()
    """What a reader of the figures should know: lists that weren't there, assumptions made."""
    expected: Mapping[str, int] = field(default_factory=dict)
    """Number of items by method that the complete split has; empty where no list says."""

    def __post_init__(self) -> None:
        """Refuse two items with one id, one that is found and missing, and an id that no file could hold."""
        twice = sorted(i for i, n in Counter(item.id for item in self.items).items() if n > 1)
        if twice:
            raise InputError(f"{self.dataset}: {len(twice)} ids stand for several items, the first is {twice[0]}")
        for item in self.items:
            if not item.id.isprintable():
                raise InputError(f"{self.dataset}: rename {item.id!r}; such a name can't be written into result files")
        both = {item.id for item in self.items} & set(self.missing)
        if both:
            raise InputError(f"{self.dataset}: {min(both)} is listed as found and as missing")

    @property
    def coverage(self) -> float:
        """Share of the split that is there, 0..1."""
        total = len(self.items) + len(self.missing)
        return len(self.items) / total if total else 0.0


def require_disjoint(listings: Iterable[Listing]) -> None:
    """Raise InputError where two splits share footage or a person: the figures would be those of memory."""
    seen: dict[tuple[str, str], str] = {}
    for listing in listings:
        for item in listing.items:
            keys = [("source", item.source), *(("identity", person) for person in item.identities)]
            for kind, name in keys:
                other = seen.setdefault((kind, name), listing.split)
                if other != listing.split:
                    raise InputError(
                        f"{kind} {name} of {listing.dataset} stands in the splits {other} and {listing.split}"
                    )
