"""Celeb-DF (Li et al., CVPR 2020), version 2; version 1 has the same folders and the same kind of list.

Celeb-real/id0_0000.mp4  YouTube-real/00000.mp4  Celeb-synthesis/id0_id16_0000.mp4  List_of_testing_videos.txt
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from vidguard.config import VIDEO_SUFFIXES
from vidguard.errors import InputError
from vidguard.protocols.items import Item, Listing
from vidguard.protocols.layouts.gather import count_by_method, gather
from vidguard.protocols.layouts.options import LayoutOptions
from vidguard.protocols.layouts.tree import Tree, safe_name, stem

_IS_FAKE: Final = {"Celeb-real": False, "YouTube-real": False, "Celeb-synthesis": True}
_LIST: Final = "List_of_testing_videos.txt"
_NUM_LISTED_V2: Final = 518
_LINE: Final = re.compile(r"([01])\s+(\S+)")
_NAME: Final = re.compile(r"(id\d+)_(?:(id\d+)_)?(\d+)")


def read_celebdf(root: Path, options: LayoutOptions) -> Listing:
    """Read Celeb-DF. Splits: "test" is what the official list names, "train" every other video that is there.

    A fake's source is the clip that its face was put into, Celeb-real/idA_xxxx for idA_idB_xxxx; its identities are
    both people's. Nobody says who is seen in YouTube-real. Raises InputError for a list in which 1 isn't real.
    """
    options.require("celebdf", splits=("train", "test", "all"))
    tree = Tree(root)
    if options.split != "all" and not tree.holds(_LIST):
        raise InputError(
            f"{_LIST} isn't in {root}; it comes with the data set (github.com/yuezunli/celeb-deepfakeforensics): "
            f'put it beside {", ".join(_IS_FAKE)}, or ask for the split "all"'
        )
    listed = _test_ids(tree) if tree.holds(_LIST) else []
    there = [id for folder in _IS_FAKE for id in tree.files(folder, VIDEO_SUFFIXES)]
    ids = {
        "test": listed,
        "train": sorted(set(there) - set(listed)),
        "all": sorted({*there, *listed}),
    }[options.split]
    named = [_item(tree, id) for id in ids]
    notes = []
    if options.split != "test":
        notes.append(f"no official list of the split {options.split}: coverage counts the test list's videos only")
    elif len(listed) != _NUM_LISTED_V2:
        notes.append(f"{_LIST} names {len(listed)} videos, that of Celeb-DF v2 names {_NUM_LISTED_V2}")
    return gather(
        tree,
        named,
        dataset="celebdf",
        split=options.split,
        methods=options.methods,
        expected=count_by_method(named) if options.split == "test" else None,
        notes=notes,
    )


def _test_ids(tree: Tree) -> list[str]:
    """Ids of the official test list, every label held against its folder: in this list 1 is real, as nowhere else."""
    ids = []
    where = tree.root / _LIST
    for number, line in enumerate(tree.text(_LIST).splitlines(), start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise InputError(f'{where}, line {number}: {line!r} isn\'t like "1 YouTube-real/00170.mp4"')
        id = safe_name(match[2], where)
        folder = id.partition("/")[0]
        if folder not in _IS_FAKE:
            raise InputError(f"{where}, line {number}: {id} is in none of {', '.join(_IS_FAKE)}")
        is_fake = match[1] == "0"
        if is_fake != _IS_FAKE[folder]:
            raise InputError(
                f"{where}, line {number}: the label {match[1]} ({'fake' if is_fake else 'real'}) contradicts {id}; in "
                "the official list 1 is real, so this one has been changed: take it anew from the official copy"
            )
        ids.append(id)
    return ids


def _item(tree: Tree, id: str) -> Item:
    folder = id.partition("/")[0]
    match = _NAME.fullmatch(stem(id))
    people = tuple(f"celebdf-{person}" for person in match.group(1, 2) if person) if match else ()
    source = f"Celeb-real/{match[1]}_{match[3]}" if match else f"{folder}/{stem(id)}"
    return Item(id, tree.root / id, _IS_FAKE[folder], method=folder, source=source, identities=people)
