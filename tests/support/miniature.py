"""Miniature copies of the public data sets, each in its exact layout: a few files where the original has thousands.

Files hold a few bytes unless a `make` is passed, which writes a real video or still. Every maker returns its root.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

Make: TypeAlias = Callable[[Path, bool, int], None]
"""make(path, is_fake, seed) writes a file; the folder exists. A seed is a video's footage: a fake has its source's."""

FFPP_METHODS: Final = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
FFPP_PAIRS: Final = {
    "train": (("000", "003"), ("010", "011")),
    "val": (("020", "021"),),
    "test": (("030", "031"), ("040", "041")),
}
CELEBDF_TEST: Final = ("Celeb-real/id1_0007.mp4", "YouTube-real/00170.mp4", "Celeb-synthesis/id1_id2_0007.mp4")
CELEBDF_TRAIN: Final = ("Celeb-real/id3_0000.mp4", "YouTube-real/00002.mp4", "Celeb-synthesis/id3_id4_0000.mp4")


def tiny(path: Path, is_fake: bool, seed: int) -> None:
    """A file that is there and no more."""
    path.write_bytes(f"{is_fake} {seed}".encode())


def make_ffpp(
    root: Path,
    *,
    methods: Sequence[str] = FFPP_METHODS,
    compressions: Sequence[str] = ("c23",),
    pairs: Mapping[str, Sequence[tuple[str, str]]] = FFPP_PAIRS,
    splits_folder: str | None = "splits",
    acted: bool = False,
    make: Make = tiny,
) -> Path:
    """FaceForensics++; splits_folder: where the split files go below the root, None for a copy without them."""
    if splits_folder is not None:
        for split, members in pairs.items():
            _write(root / splits_folder / f"{split}.json", json.dumps([list(pair) for pair in members]))
    both = [pair for members in pairs.values() for a, b in members for pair in ((a, b), (b, a))]
    for compression in compressions:
        for target, other in both:
            _put(root / f"original_sequences/youtube/{compression}/videos/{target}.mp4", False, int(target), make)
            for method in methods:
                folder = root / f"manipulated_sequences/{method}/{compression}/videos"
                _put(folder / f"{target}_{other}.mp4", True, int(target), make)
        if acted:
            _put(root / f"original_sequences/actors/{compression}/videos/01__walking.mp4", False, 1000, make)
            folder = root / f"manipulated_sequences/DeepFakeDetection/{compression}/videos"
            _put(folder / "01_02__walking__YVGY8LOK.mp4", True, 1000, make)
    return root


def make_dfdc(root: Path, *, parts: int = 2, make: Make = tiny) -> Path:
    """DFDC's training folders: in each one original and two fakes of it."""
    for part in range(parts):
        folder = root / f"dfdc_train_part_{part}"
        original = f"original{part}.mp4"
        records = {original: {"label": "REAL", "split": "train"}}
        for fake in (f"fake{part}a.mp4", f"fake{part}b.mp4"):
            records[fake] = {"label": "FAKE", "split": "train", "original": original}
        for name, record in records.items():
            _put(folder / name, record["label"] == "FAKE", part, make)
        _write(folder / "metadata.json", json.dumps(records))
    return root


def make_dfdc_test(root: Path, *, videos: str = "videos", metadata: bool = False, make: Make = tiny) -> Path:
    """A DFDC test set of two real and two fake videos; metadata: its list is metadata.json and not labels.csv."""
    labels = {"aaa.mp4": 1, "bbb.mp4": 0, "ccc.mp4": 1, "ddd.mp4": 0}
    for seed, (name, label) in enumerate(labels.items()):
        _put(root / videos / name, label == 1, seed, make)
    if metadata:
        records = {name: {"augmentations": {}, "is_fake": label} for name, label in labels.items()}
        _write(root / videos / "metadata.json", json.dumps(records))
    else:
        _write_csv(root / "labels.csv", ("filename", "label"), labels.items())
    return root


def make_dfdcp(root: Path, *, make: Make = tiny) -> Path:
    """DFDC preview: one real and two fakes in each set."""
    records: dict[str, dict[str, Any]] = {}
    for split, target, swapped in (("train", "1000", "2000"), ("test", "3000", "4000")):
        people = {"set": split, "target_id": target, "augmentations": []}
        records[f"original_videos/{target}/{target}_A_001.mp4"] = {"label": "real", "swapped_id": None, **people}
        for method in ("method_A", "method_B"):
            path = f"{method}/{target}/{target}_C/{swapped}_{target}_C_001.mp4"
            records[path] = {"label": "fake", "swapped_id": swapped, **people}
    for path, record in records.items():
        _put(root / path, record["label"] == "fake", int(record["target_id"]), make)
    _write(root / "dataset.json", json.dumps(records))
    return root


def make_celebdf(root: Path, *, make: Make = tiny) -> Path:
    """Celeb-DF: two real videos and a fake in the test list, where 1 is real, and as many outside it."""
    for seed, names in enumerate((CELEBDF_TEST, CELEBDF_TRAIN)):
        for name in names:
            _put(root / name, _is_celeb_fake(name), seed, make)
    lines = [f"{0 if _is_celeb_fake(name) else 1} {name}" for name in CELEBDF_TEST]
    _write(root / "List_of_testing_videos.txt", "\n".join(lines) + "\n")
    return root


def make_wilddeepfake(root: Path, *, frames: int = 3, make: Make = tiny) -> Path:
    """WildDeepfake: for each label and split one video's folder with two sequences of PNG crops."""
    for seed, (label, split) in enumerate((label, split) for label in ("real", "fake") for split in ("train", "test")):
        for sequence in ("0", "1"):
            for frame in range(frames):
                path = root / f"{label}_{split}/{seed}/{label}/{sequence}/{frame}.png"
                _put(path, label == "fake", seed, make)
    return root


def make_ffiw(root: Path, *, splits: Sequence[str] = ("train", "val", "test"), make: Make = tiny) -> Path:
    """FFIW-10K: two pairs in each split."""
    for split in splits:
        for number in (0, 1):
            for side in ("source", "target"):
                _put(root / f"{side}/{split}/{split}_{number:08d}.mp4", side == "target", number, make)
    return root


def make_folder(root: Path, *, make: Make = tiny) -> Path:
    """A folder with real and fake: two clips of a source, one forged by two methods, and a still."""
    for name, seed in (("real/a__day.mp4", 0), ("real/a__night.mp4", 1), ("real/b.png", 2)):
        _put(root / name, False, seed, make)
    for name in ("fake/swap/a.mp4", "fake/reenact/a.mp4"):
        _put(root / name, True, 0, make)
    return root


def make_csv(root: Path, *, make: Make = tiny) -> Path:
    """Files and a manifest of them; returns the manifest."""
    rows = (
        ("clips/a.mp4", "real", "", "a", "test"),
        ("clips/a_forged.mp4", "fake", "swap", "a", "test"),
        ("clips/b.mp4", "real", "", "b", "train"),
    )
    for seed, (path, label, *_) in enumerate(rows):
        _put(root / path, label == "fake", seed, make)
    _write_csv(root / "manifest.csv", ("path", "label", "method", "source", "split"), rows)
    return root / "manifest.csv"


def _is_celeb_fake(name: str) -> bool:
    return name.startswith("Celeb-synthesis/")


def _put(path: Path, is_fake: bool, seed: int, make: Make) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path, is_fake, seed)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
