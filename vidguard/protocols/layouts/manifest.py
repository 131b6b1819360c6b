"""A CSV manifest of one's own: what no published layout covers."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vidguard.cells import as_written
from vidguard.errors import InputError
from vidguard.protocols.items import Item, Listing, require_disjoint
from vidguard.protocols.layouts.gather import gather
from vidguard.protocols.layouts.options import LayoutOptions
from vidguard.protocols.layouts.tree import Tree, safe_name

_REQUIRED: Final = ("path", "label")
_OPTIONAL: Final = ("method", "kind", "source", "group", "identities", "compression", "split", "dataset")


def read_csv(manifest: Path, options: LayoutOptions) -> Listing:
    """Read a manifest with the columns path and label, and any of these.

    path: a video, a still or a folder of crops in the manifest's folder; label: "real" or "fake"; method or kind: how
    it was forged; source or group: the footage it was made from (default: its own path); identities: people, separated
    by semicolons; compression; split; dataset. Without a column split, everything is taken. Raises InputError for a
    source or a person in two splits.
    """
    if not manifest.is_file():
        raise InputError(f"{manifest} is no file; pass a CSV file with the columns {', '.join(_REQUIRED)}")
    tree = Tree(manifest.parent)
    rows = _rows(tree, manifest)
    has_splits = "split" in rows[0]
    splits = sorted({row["split"] for row in rows}) if has_splits else ["test"]
    compressions = sorted({row["compression"] for row in rows if row.get("compression")})
    options.require(manifest.name, splits=(*splits, "all"), compressions=compressions)
    by_split: dict[str, list[Item]] = {}
    for row in rows:
        if options.compressions is None or row["compression"] in options.compressions:
            by_split.setdefault(row.get("split", "all"), []).append(_item(tree, row, manifest))
    require_disjoint(Listing(manifest.name, split, tuple(items), tree.root) for split, items in by_split.items())
    split = options.split if has_splits else "all"
    ignored = sorted(set(rows[0]) - {*_REQUIRED, *_OPTIONAL})
    return gather(
        tree,
        [item for name, items in by_split.items() if split in (name, "all") for item in items],
        dataset=manifest.stem,
        split=split,
        methods=options.methods,
        notes=[f"columns that mean nothing here: {', '.join(ignored)}"] if ignored else [],
    )


def _rows(tree: Tree, manifest: Path) -> list[dict[str, str]]:
    """The manifest's rows, checked."""
    rows = tree.rows(manifest.name)
    if not rows or not set(_REQUIRED) <= set(rows[0][1]):
        raise InputError(f"{manifest} must name the columns path and label in its first line, and have rows below it")
    for line, row in rows:
        if row["label"] not in ("real", "fake"):
            raise InputError(
                f"{manifest}, line {line}: the label is {row['label']!r}; write real or fake. Numbers are refused "
                "because data sets disagree: 1 is fake in DFDC's lists and real in Celeb-DF's"
            )
    return [{name: as_written(value) for name, value in row.items()} for _, row in rows]


def _item(tree: Tree, row: dict[str, str], manifest: Path) -> Item:
    id = safe_name(row["path"], manifest)
    is_fake, dataset = row["label"] == "fake", row.get("dataset", "")
    source = row.get("source") or row.get("group") or id
    people = (person.strip() for person in row.get("identities", "").split(";"))
    forged_by = row.get("method") or row.get("kind") or "fake"
    return Item(
        id,
        tree.root / id,
        is_fake,
        method=forged_by if is_fake else row.get("method") or dataset or "real",
        # Numbered sources of two data sets aren't one source.
        source=f"{dataset}/{source}" if dataset else source,
        identities=tuple(person for person in people if person),
        compression=row.get("compression") or None,
    )
