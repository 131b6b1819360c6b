"""Any folder with a folder real and a folder fake."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vidguard.config import STILL_SUFFIXES, VIDEO_SUFFIXES
from vidguard.errors import InputError
from vidguard.protocols.items import Item, Listing
from vidguard.protocols.layouts.gather import gather
from vidguard.protocols.layouts.options import LayoutOptions
from vidguard.protocols.layouts.tree import Tree, stem

_MEDIA: Final = VIDEO_SUFFIXES | STILL_SUFFIXES


def read_folder(root: Path, options: LayoutOptions) -> Listing:
    """Read all videos and stills in real/ and fake/, however deep; there are no splits, so "test" is "all".

    A fake's method is the first folder below fake/, or "fake" without one; a genuine item's collection likewise. Names
    tell the source: a__one.mp4 and a__two.mp4 are of one source, and so is a.mp4 of either side.
    """
    options.require("folder", splits=("test", "all"))
    tree = Tree(root)
    if not {"real", "fake"} <= set(tree.folders("")):
        raise InputError(f"{root} needs a folder real and a folder fake")
    named = [_item(tree, id, label) for label in ("real", "fake") for id in tree.walk(label, _MEDIA)]
    note = "no list: what lies in the folders is taken for complete, and equal names before '__' for one source"
    return gather(tree, named, dataset=root.resolve().name, split="all", methods=options.methods, notes=(note,))


def _item(tree: Tree, id: str, label: str) -> Item:
    _, first, *rest = id.split("/")
    return Item(
        id,
        tree.root / id,
        is_fake=label == "fake",
        method=first if rest else label,
        source=stem(id).partition("__")[0],
    )
