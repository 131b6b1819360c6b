"""WildDeepfake (Zi et al., ACM MM 2020): face crops only, in sequences; the archives unpacked where they lie.

{real,fake}_{train,test}/<number>/{real,fake}/<sequence>/<frame>.png
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vidguard.errors import InputError
from vidguard.protocols.items import Item, Listing
from vidguard.protocols.layouts.gather import gather
from vidguard.protocols.layouts.options import LayoutOptions
from vidguard.protocols.layouts.tree import Tree, join

_SEQUENCES: Final = {"train": 6508, "test": 806}


def read_wilddeepfake(root: Path, options: LayoutOptions) -> Listing:
    """Read WildDeepfake: an item is the folder of one sequence, its source the numbered folder (one video's archive).

    No list says which sequences a split has, so what is missing is known by number only, and stands in the notes.
    """
    options.require("wilddeepfake", splits=(*_SEQUENCES, "all"))
    tree = Tree(root)
    splits = list(_SEQUENCES) if options.split == "all" else [options.split]
    named: list[Item] = []
    notes: list[str] = []
    for folder, is_fake in [(f"{label}_{s}", label == "fake") for s in splits for label in ("real", "fake")]:
        named += _sequences(tree, folder, is_fake)
        packed = [a for a in tree.files(folder, frozenset({".gz"})) if not tree.holds(a.removesuffix(".tar.gz"))]
        if packed:
            notes.append(f"{len(packed)} archives aren't unpacked, the first is {packed[0]}: unpack each where it lies")
    complete = sum(_SEQUENCES[split] for split in splits)
    if len(named) != complete:
        notes.append(f"{len(named)} sequences are there; the paper counts {complete}")
    if not named and notes:
        raise InputError(f"no sequences of WildDeepfake's split {options.split} in {root}: {'; '.join(notes)}")
    return gather(tree, named, dataset="wilddeepfake", split=options.split, methods=options.methods, notes=notes)


def _sequences(tree: Tree, folder: str, is_fake: bool) -> list[Item]:
    label, wrong = ("fake", "real") if is_fake else ("real", "fake")
    items = []
    for video in tree.folders(folder):
        if tree.holds(join(video, wrong)):
            raise InputError(
                f"{tree.root / video} has a folder {wrong!r}; unpack the archives anew, each where it lies"
            )
        items += [
            Item(id, tree.root / id, is_fake, method=label, source=video)
            for id in tree.folders(join(video, label))
            if tree.holds_item(id)
        ]
    return items
