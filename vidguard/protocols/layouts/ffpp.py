"""FaceForensics++ (Roessler et al., ICCV 2019), with FaceShifter and DeepFakeDetection, as the script fetches it.

    original_sequences/{youtube,actors}/<compression>/videos/{000,01__walking}.mp4
    manipulated_sequences/<method>/<compression>/videos/{000_003,01_02__walking__HASH}.mp4

The official split files train.json, val.json and test.json hold pairs ["000", "003"]: both are genuine videos of the
split, and 000_003 and 003_000 its fakes by each method.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vidguard.errors import InputError
from vidguard.protocols.items import Item, Listing
from vidguard.protocols.layouts.gather import count_by_method, gather
from vidguard.protocols.layouts.options import LayoutOptions
from vidguard.protocols.layouts.tree import Tree, stem

_METHODS: Final = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
# Filmed with actors: no split file names it.
_DETECTION: Final = "DeepFakeDetection"
_YOUTUBE: Final = "youtube"
_ACTORS: Final = "actors"
# The download script says raw, papers and older copies c0.
_COMPRESSIONS: Final = {"raw": ("raw", "c0"), "c23": ("c23",), "c40": ("c40",)}
_NUM_PAIRS: Final = {"train": 360, "val": 70, "test": 70}
_SPLITS_HOME: Final = "github.com/ondyari/FaceForensics, folder dataset/splits"
_NUMBERED: Final = re.compile(r"([0-9]{3})(?:_([0-9]{3}))?")
_ACTED: Final = re.compile(r"([0-9]{2})(?:_([0-9]{2}))?__(.+?)(?:__[A-Z0-9]{8})?")
_MP4: Final = frozenset({".mp4"})


def read_ffpp(root: Path, options: LayoutOptions) -> Listing:
    """Read FaceForensics++, every method and compression that is there, or those asked for.

    A video can be missing only where its method and compression are there at all or were asked for; other methods are
    named in a note. DeepFakeDetection and the actors' videos have no official split: they come with the split "all",
    or when that method is asked for. An item's source is the target video, the first number of its name.
    """
    options.require("ffpp", splits=(*_NUM_PAIRS, "all"), compressions=tuple(_COMPRESSIONS))
    unknown = sorted(set(options.methods or ()) - {*_METHODS, _DETECTION})
    if unknown:
        raise InputError(f"ffpp has no method {unknown[0]!r}; choose of {', '.join((*_METHODS, _DETECTION))}")
    copy = _Copy(Tree(root))
    notes: list[str] = []
    parts = _parts(copy, options, notes)
    official = [part for part in parts if options.split != "all" and not part.is_acted]
    pairs = _official_pairs(copy.tree, options.split, notes) if official else []
    listed = [item for part in official for item in copy.listed(part, pairs)]
    others = [item for part in parts if part not in official for item in copy.all(part, notes)]
    if options.split != "all" and len(official) < len(parts):
        notes.append(f"{_DETECTION} and {_ACTORS} have no official split: all of their videos are in")
    return gather(
        copy.tree,
        listed + others,
        dataset="ffpp",
        split=options.split,
        expected=count_by_method(listed),
        notes=notes,
    )


@dataclass(frozen=True)
class _Part:
    """One folder of videos: a method's, or a genuine collection's, in one compression."""

    collection: str
    compression: str

    @property
    def is_fake(self) -> bool:
        return self.collection not in (_YOUTUBE, _ACTORS)

    @property
    def is_acted(self) -> bool:
        return self.collection in (_ACTORS, _DETECTION)


@dataclass(frozen=True)
class _Copy:
    """Somebody's copy of the data set."""

    tree: Tree

    def folder(self, part: _Part) -> str:
        """Id of a part's folder, under the name of its compression that is there, or else the official one."""
        base = f"{'manipulated' if part.is_fake else 'original'}_sequences/{part.collection}"
        folders = [f"{base}/{name}/videos" for name in _COMPRESSIONS[part.compression]]
        return next((folder for folder in folders if self.tree.files(folder, _MP4)), folders[0])

    def has(self, part: _Part) -> bool:
        return bool(self.tree.files(self.folder(part), _MP4))

    def listed(self, part: _Part, pairs: list[tuple[str, str]]) -> list[Item]:
        """What a split's pairs stand for in a part, there or not."""
        folder = self.folder(part)
        if part.is_fake:
            names = [name for a, b in pairs for name in (f"{a}_{b}", f"{b}_{a}")]
        else:
            names = [number for pair in pairs for number in pair]
        return [_item(self.tree, part, f"{folder}/{name}.mp4") for name in names]

    def all(self, part: _Part, notes: list[str]) -> Iterator[Item]:
        """All videos of a part that are there; names that aren't the data set's go into a note."""
        folder = self.folder(part)
        ids = self.tree.files(folder, _MP4)
        strange = []
        for id in ids:
            try:
                yield _item(self.tree, part, id)
            except ValueError:
                strange.append(id)
        if strange:
            notes.append(f"{len(strange)} files aren't named like the data set's and are left out, as {strange[0]}")
        if not ids:
            notes.append(f"nothing is in {folder}, and no list says what should be")


def _item(tree: Tree, part: _Part, id: str) -> Item:
    """An item by its id; ValueError where its name isn't one of the data set's."""
    match = (_ACTED if part.is_acted else _NUMBERED).fullmatch(stem(id))
    if match is None or (match[2] is not None) != part.is_fake:
        raise ValueError(id)
    prefix = "ffpp-actor" if part.is_acted else "ffpp"
    return Item(
        id,
        tree.root / id,
        part.is_fake,
        method=part.collection,
        source=f"{match[1]}__{match[3]}" if part.is_acted else match[1],
        identities=tuple(f"{prefix}-{person}" for person in match.group(1, 2) if person),
        compression=part.compression,
    )


def _parts(copy: _Copy, options: LayoutOptions, notes: list[str]) -> list[_Part]:
    """The parts to read: those there are, and those that are missing because somebody asked for them."""
    here = [_Part(m, c) for c in _COMPRESSIONS for m in (_YOUTUBE, _ACTORS, *_METHODS, _DETECTION)]
    here = [part for part in here if copy.has(part)]
    if not here:
        raise InputError(
            f"no video of FaceForensics++ in {copy.tree.root}; pass the folder that holds original_sequences and "
            "manipulated_sequences, as the official download script makes them"
        )
    methods = options.methods or (*_METHODS, *((_DETECTION,) if options.split == "all" else ()))
    compressions = options.compressions or [c for c in _COMPRESSIONS if any(p.compression == c for p in here)]
    somewhere = {part.collection for part in here}

    def asked_for(part: _Part) -> bool:
        if options.methods is None:
            return options.compressions is not None and part.collection in somewhere
        return options.compressions is not None or part.collection not in somewhere

    wanted = [_Part(method, compression) for compression in compressions for method in methods]
    forged = [part for part in wanted if part in here or asked_for(part)]
    genuine = {_Part(_ACTORS if part.is_acted else _YOUTUBE, part.compression) for part in forged}
    if options.methods is None:
        free = (_YOUTUBE, _ACTORS) if options.split == "all" else (_YOUTUBE,)
        genuine |= {part for part in here if part.collection in free and part.compression in compressions}
    left_out = [f"{part.collection} {part.compression}" for part in wanted if part not in forged]
    if left_out:
        notes.append(f"not there, so left out: {', '.join(left_out)}")
    if options.methods is None and options.split != "all" and _DETECTION in somewhere:
        notes.append(f"{_DETECTION} has no official split and is left out: ask for that method, or for the split all")
    return [*sorted(genuine, key=lambda part: (part.compression, part.collection)), *forged]


def _official_pairs(tree: Tree, split: str, notes: list[str]) -> list[tuple[str, str]]:
    """A split's pairs, after a look that no split file shares a video with another."""
    splits = {name: pairs for name in _NUM_PAIRS if (pairs := _read_pairs(tree, name))}
    if split not in splits:
        raise InputError(
            f"{split}.json is neither in {tree.root} nor in its folder splits; copy the official split files there "
            f'({_SPLITS_HOME}), or ask for the split "all"'
        )
    seen: dict[str, str] = {}
    for name, number in ((name, number) for name, pairs in splits.items() for pair in pairs for number in pair):
        if number in seen:
            raise InputError(
                f"video {number} stands twice in the split files of {tree.root} ({seen[number]}.json and {name}.json): "
                f"take the official ones ({_SPLITS_HOME})"
            )
        seen[number] = name
    if len(splits[split]) != _NUM_PAIRS[split]:
        notes.append(f"{split}.json names {len(splits[split])} pairs, the official one {_NUM_PAIRS[split]}")
    return splits[split]


def _read_pairs(tree: Tree, split: str) -> list[tuple[str, str]]:
    """A split file's pairs; none where there is no such file."""
    id = next((id for id in (f"{split}.json", f"splits/{split}.json") if tree.holds(id)), None)
    if id is None:
        return []
    value = tree.json(id)
    if not isinstance(value, list) or not value or not all(_is_pair(pair) for pair in value):
        raise InputError(
            f'{tree.root / id} must hold pairs like ["000", "003"]; take the official file ({_SPLITS_HOME})'
        )
    return [(a, b) for a, b in value]


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(number, str) and re.fullmatch(r"[0-9]{3}", number) for number in value)
    )
