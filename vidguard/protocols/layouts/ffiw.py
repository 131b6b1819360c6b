"""FFIW-10K (Zhou et al., CVPR 2021), as in the authors' two releases, FFIW10K-v1-release and FFIW10K-v1-release-test.

    source/<split>/<split>_00000000.mp4 (genuine)  target/<split>/<split>_00000000.mp4 (forged)  target_mask/ (not used)

A fake has the name of the genuine video it was made from. Some copies keep the videos in <split>/videos.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vidguard.errors import InputError
from vidguard.protocols.items import Item, Listing
from vidguard.protocols.layouts.gather import gather
from vidguard.protocols.layouts.options import LayoutOptions
from vidguard.protocols.layouts.tree import Tree, join, stem

_PAIRS: Final = {"train": 8000, "val": 250, "test": 1738}
_MP4: Final = frozenset({".mp4"})


def read_ffiw(root: Path, options: LayoutOptions) -> Listing:
    """Read FFIW-10K. Videos come in pairs, so one without its counterpart tells that the other is missing.

    The split "val" is the 250 + 250 videos on which most published cross-dataset figures were made; "test" was released
    later. One is never taken for the other.
    """
    options.require("ffiw", splits=(*_PAIRS, "all"))
    tree = Tree(root)
    here = [s for s in _PAIRS if any(tree.files(_folder(tree, side, s), _MP4) for side in ("source", "target"))]
    splits = [s for s in here if options.split in (s, "all")]
    if not splits:
        raise InputError(
            f"no videos of the split {options.split} in source and target of {root} (there: {', '.join(here) or 'none'}"
            '); published figures on 250 + 250 videos are those of the split "val", "test" is a release of its own'
        )
    named = [item for split in splits for item in _pairs(tree, split)]
    pairs = sum(number for split, number in _PAIRS.items() if options.split in (split, "all"))
    notes = []
    if len(named) != 2 * pairs:
        notes.append(f"{len(named) // 2} pairs are known from their names; the complete split has {pairs}")
    return gather(
        tree,
        named,
        dataset="ffiw",
        split=options.split,
        methods=options.methods,
        expected={"real": pairs, "fake": pairs},
        notes=notes,
    )


def _folder(tree: Tree, side: str, split: str) -> str:
    folder = f"{side}/{split}"
    return f"{folder}/videos" if tree.holds(f"{folder}/videos") else folder


def _pairs(tree: Tree, split: str) -> list[Item]:
    sides = {_folder(tree, "source", split): False, _folder(tree, "target", split): True}
    names = sorted({id.rpartition("/")[2] for folder in sides for id in tree.files(folder, _MP4)})
    return [
        Item(
            id=join(folder, name),
            path=tree.root / folder / name,
            is_fake=is_fake,
            method="fake" if is_fake else "real",
            source=f"{split}/{stem(name)}",
        )
        for folder, is_fake in sides.items()
        for name in names
    ]
