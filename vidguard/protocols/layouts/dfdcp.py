"""DFDC preview (Dolhansky et al., 2019): dataset.json maps every video's path to its label, set and people.

dataset.json  original_videos/643049/643049_A_001.mp4  method_A/<...>.mp4  method_B/<...>.mp4
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vidguard.errors import InputError
from vidguard.protocols.items import Item, Listing
from vidguard.protocols.layouts.gather import count_by_method, gather
from vidguard.protocols.layouts.options import LayoutOptions
from vidguard.protocols.layouts.tree import Tree, safe_name, stem

_LIST: Final = "dataset.json"


def read_dfdcp(root: Path, options: LayoutOptions) -> Listing:
    """Read DFDC preview; the splits are the sets of dataset.json, the methods its folders method_A and method_B.

    Which take of a person a fake was made from isn't said, so its source is the person `target_id`: all that was
    filmed of one person is resampled together.
    """
    options.require("dfdcp", splits=("train", "test", "all"))
    tree = Tree(root)
    if not tree.holds(_LIST):
        raise InputError(f"{_LIST} isn't in {root}; pass the folder dfdc_preview_set, which has it")
    records = {safe_name(name, root / _LIST): record for name, record in tree.records(_LIST).items()}
    for id, record in records.items():
        if record.get("label") not in ("real", "fake") or record.get("set") not in ("train", "test"):
            raise InputError(f"{root / _LIST}: {id} needs a label (real or fake) and a set (train or test)")
    named = [_item(tree, id, r) for id, r in records.items() if options.split in ("all", r["set"])]
    return gather(
        tree,
        named,
        dataset="dfdcp",
        split=options.split,
        methods=options.methods,
        expected=count_by_method(named),
    )


def _item(tree: Tree, id: str, record: dict[str, object]) -> Item:
    target, swapped = record.get("target_id"), record.get("swapped_id")
    return Item(
        id,
        tree.root / id,
        is_fake=record["label"] == "fake",
        method=id.partition("/")[0],
        source=str(target) if target is not None else stem(id),
        identities=tuple(f"dfdcp-{person}" for person in (target, swapped) if person is not None),
    )
