"""DFDC (Dolhansky et al., 2020): training folders with metadata.json, and test sets with labels.csv or metadata.json.

dfdc_train_part_<N>/{metadata.json, *.mp4}: {file: {"label": "REAL" | "FAKE", "split": "train", "original": file}}
labels.csv: filename,label (1 = fake), the videos beside it or in videos/, test/ or test_videos/
metadata.json of a test set: {file: {"is_fake": 0 | 1, ...}}
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vidguard.errors import InputError
from vidguard.protocols.items import Item, Listing
from vidguard.protocols.layouts.gather import count_by_method, gather
from vidguard.protocols.layouts.options import LayoutOptions
from vidguard.protocols.layouts.tree import Tree, join, safe_name, stem

_NUM_PARTS: Final = 50
_PART: Final = re.compile(r"dfdc_train_part_\d+")
_TEST_FOLDERS: Final = ("videos", "test", "test_videos")


def read_dfdc(root: Path, options: LayoutOptions) -> Listing:
    """Read DFDC: split "train" is what the training folders' metadata names, "test" what a test set's list names.

    A fake's source is the `original` it was made from. A test set doesn't say, so there every video is its own source,
    and resampling by source is resampling by video.
    """
    options.require("dfdc", splits=("train", "test", "all"))
    tree = Tree(root)
    parts = [folder for folder in tree.folders("") if _PART.fullmatch(folder)]
    by_split: dict[str, dict[str, Item]] = {"train": {}, "test": {}}
    for list_id in _lists(tree, parts):
        for split, item in _read_list(tree, list_id):
            # Copies exist with labels.csv beside a folder that has its own metadata.json: two lists of one test set.
            first = by_split[split].setdefault(item.id, item)
            if first.is_fake != item.is_fake:
                raise InputError(
                    f"{tree.root / list_id} contradicts another list about {item.id}; remove the wrong one"
                )
    splits = [split for split in by_split if options.split in (split, "all")]
    named = [item for split in splits for item in by_split[split].values()]
    if not named:
        there = ", ".join(split for split, items in by_split.items() if items) or "none"
        raise InputError(
            f"no list of DFDC's split {options.split} in {root} (there: {there}); pass the folder that holds "
            "dfdc_train_part_<N>, a metadata.json or a test set's labels.csv"
        )
    notes = []
    if "train" in splits and parts and len(parts) < _NUM_PARTS:
        notes.append(f"{len(parts)} of the {_NUM_PARTS} training folders are there; coverage counts these only")
    if by_split["test"] and "test" in splits:
        notes.append("the test set doesn't say which videos share an original: each counts as a source of its own")
    return gather(
        tree,
        named,
        dataset="dfdc",
        split=options.split,
        methods=options.methods,
        expected=count_by_method(named),
        notes=notes,
    )


def _lists(tree: Tree, parts: list[str]) -> Iterator[str]:
    for folder in ("", *_TEST_FOLDERS, *parts):
        yield from (id for id in (join(folder, "labels.csv"), join(folder, "metadata.json")) if tree.holds(id))


def _read_list(tree: Tree, list_id: str) -> Iterator[tuple[str, Item]]:
    """Items of one list, each with the split it belongs to."""
    folder = list_id.rpartition("/")[0]
    where = tree.root / list_id
    rows = _labels(tree, list_id) if list_id.endswith(".csv") else _metadata(tree, list_id)
    rows = [(safe_name(name, where), split, is_fake, original) for name, split, is_fake, original in rows]
    # The videos are where most of them are.
    videos = max(
        (folder, *(join(folder, inner) for inner in _TEST_FOLDERS)),
        key=lambda candidate: sum(tree.holds(join(candidate, row[0])) for row in rows),
    )
    for name, split, is_fake, original in rows:
        id = join(videos, name)
        yield split, Item(id, tree.root / id, is_fake, method="fake" if is_fake else "real", source=stem(original))


_Row = tuple[str, str, bool, str]
"""File, split, whether it is fake, and the file it was made from (itself, where nobody says)."""


def _labels(tree: Tree, list_id: str) -> list[_Row]:
    rows = []
    for line, row in tree.rows(list_id):
        name, label = row.get("filename"), row.get("label")
        if not name or label not in ("0", "1"):
            raise InputError(f"{tree.root / list_id}, line {line}: needs filename and label, 1 for fake and 0 for real")
        rows.append((name, "test", label == "1", name))
    return rows


def _metadata(tree: Tree, list_id: str) -> list[_Row]:
    rows = []
    for name, record in tree.records(list_id).items():
        label, is_fake, original = record.get("label"), record.get("is_fake"), record.get("original")
        if label in ("REAL", "FAKE"):
            made_from = original if label == "FAKE" and isinstance(original, str) else name
            rows.append((name, "train", label == "FAKE", made_from))
        elif is_fake in (0, 1):
            rows.append((name, "test", is_fake == 1, name))
        else:
            raise InputError(
                f"{tree.root / list_id}: {name} needs a label (REAL or FAKE), or is_fake (0 or 1) in a test set"
            )
    return rows
