"""Wholly generated faces to train on: a folder of pictures with a manifest."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from vidguard.files import write_whole
from vidguard.forge.generated import NETWORK, FaceGenerator
from vidguard.training.listing import Row

MANIFEST: Final = "index.csv"
_COLUMNS: Final = ("path", "label", "kind", "dataset", "split", "group")
_SIDES: Final = (256, 512, 1024)  # px: as such pictures are passed on, so that no one size gives them away
_TRUNCATIONS: Final = (0.4, 1.0)  # from the prettiest to the most varied
_JPEG_QUALITY: Final = 95
_VALIDATION: Final = (6, 13, 19)  # of every twenty seeds


def generate_faces(folder: Path, count: int, *, seed: int, advance: Callable[[int, int], None]) -> Path:
    """Write `count` generated faces as JPEGs with their manifest, a picture per seed from `seed` on; gives its path.

    Pictures that are there from an earlier call are kept, but the manifest names this call's seeds alone.
    advance(done, count) is called after every picture.
    """
    generator = FaceGenerator()
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for done, one in enumerate(range(seed, seed + count), start=1):
        group = f"seed{one:06d}"
        rows.append(Row(f"{NETWORK}-{group}.jpg", "fake", "generated", NETWORK, _split_of(one), group))
        if not (folder / rows[-1].path).is_file():
            write_whole(folder / rows[-1].path, _picture(generator, one))
        advance(done, count)
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(_COLUMNS)
    writer.writerows([getattr(row, column) for column in _COLUMNS] for row in rows)
    write_whole(folder / MANIFEST, table.getvalue().encode())
    return folder / MANIFEST


def _split_of(seed: int) -> str:
    """15 % for validation. Seeds draw independently of each other: any rule that doesn't look at the faces is fair."""
    return "val" if seed % 20 in _VALIDATION else "train"


def _picture(generator: FaceGenerator, seed: int) -> bytes:
    rng = np.random.default_rng([seed, 1])  # not the stream the face itself is drawn from
    face = generator.draw(seed, truncation=float(rng.uniform(*_TRUNCATIONS)))
    side = int(rng.choice(_SIDES))
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return encoded.tobytes()
