"""From what a data set's lists name to what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from vidguard.errors import InputError
from vidguard.protocols.items import Item, Listing
from vidguard.protocols.layouts.tree import Tree


def gather(
    tree: Tree,
    named: Sequence[Item],
    *,
    dataset: str,
    split: str,
    methods: Sequence[str] | None = None,
    expected: Mapping[str, int] | None = None,
    notes: Iterable[str] = (),
) -> Listing:
    """The named items that are there, by id, with an account of those that aren't.

    methods: forging methods to keep, None for all. expected: items by method of the complete split; None where no list
    says. Raises InputError for an unknown method, and where nothing is left: there would be no figures to report.
    """
    kept = _with_methods(named, methods, dataset)
    items = tuple(sorted((item for item in kept if tree.holds_item(item.id)), key=lambda item: item.id))
    if not items:
        example = f"; the first would be {kept[0].id}" if kept else ""
        raise InputError(
            f"nothing of {dataset}'s split {split} is in {tree.root}{example}; pass the folder that holds it"
        )
    there = {item.id for item in items}
    dropped = {item.method for item in named} - {item.method for item in kept}
    return Listing(
        dataset=dataset,
        split=split,
        items=items,
        root=tree.root,
        missing=tuple(sorted({item.id for item in kept} - there)),
        notes=tuple(notes),
        expected={method: number for method, number in (expected or {}).items() if method not in dropped},
    )


def count_by_method(items: Iterable[Item]) -> dict[str, int]:
    """Number of items of each method, genuine collections included."""
    return dict(Counter(item.method for item in items))


def _with_methods(named: Sequence[Item], methods: Sequence[str] | None, dataset: str) -> list[Item]:
    if methods is None:
        return list(named)
    known = {item.method for item in named if item.is_fake}
    unknown = sorted(set(methods) - known)
    if unknown:
        choice = f"choose of {', '.join(sorted(known))}" if known else "nothing in this split is forged"
        raise InputError(f"{dataset} has no method {unknown[0]!r}; {choice}")
    return [item for item in named if not item.is_fake or item.method in methods]
