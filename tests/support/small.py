"""A made-up store and a recipe of a few steps, for the tests of the stages."""

from __future__ import annotations

import csv
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
from skimage.data import astronaut

from vidguard.training.listing import Row
from vidguard.training.material import Store
from vidguard.training.recipe import Draw, EncoderRecipe, Recipe, Round, load_recipe

POINTS = np.array([[79, 98], [143, 98], [111, 135], [84, 172], [138, 172]], np.float32)
NAME = "mesoinception4"

RECIPE = """
name = "several"
seed = 1
description = "For a test."
licence = "none"

[material]
video_frames_per_second = 8.0
max_frames_per_track = 16
meshes = false
validation_groups = []
temporal_groups = []

[[mixture]]
draw = "labelled"
datasets = ["dfdc"]
weight = 1.0

[every_encoder]
rounds = [{ steps = 24, learning_rate = 3.0e-3 }]
batch = 4
weight_decay = 0.0
bfloat16 = true
ema_decay = 0.5
degraded = 0.0

[encoders.mesoinception4]
[encoders.meso4]
batch = 6

[temporal]
forgeries_per_track = 2
epochs = 1
batch = 2
learning_rate = 1.0e-3
weight_decay = 0.0
single_frames = ["dfdc"]
"""


def small_store(track: int = 10) -> Store:
    face = cv2.resize(astronaut()[20:220, 130:320], (224, 224))
    rng = np.random.default_rng(0)
    crops, rows = [], []
    for split in ("train", "val"):
        for i in range(12):
            fake = i % 2 == 1
            crops.append(np.clip(face * (0.6 if fake else 1.0) + rng.normal(0, 8, face.shape), 0, 255).astype(np.uint8))
            label, dataset = "fake" if fake else "real", "dfdc" if i < 6 else "mesonet"
            rows.append(Row(f"{split}{i}.jpg", label, "none", dataset, split, f"{split}{i}"))
        for i in range(track):
            crops.append(np.clip(face + rng.normal(0, 4, face.shape), 0, 255).astype(np.uint8))
            rows.append(Row(f"{split}.mp4", "real", "none", "talkinghead", split, f"{split}-v", 0, i / 8))
    return Store(np.stack(crops), np.repeat(POINTS[None], len(crops), 0), tuple(rows))


def small_recipe(*rounds: Round, bfloat16: bool = False, datasets: tuple[str, ...] = ("dfdc",)) -> Recipe:
    quick = EncoderRecipe(rounds, 4, 0.01, bfloat16, 0.9)
    mixture = (Draw("labelled", datasets, 1.0),)
    return replace(load_recipe("base-v1"), encoders={NAME: quick}, mixture=mixture, kinds=None)


def save_store(folder: Path, store: Store) -> None:
    """As the stage prepare leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "crops.npy", store.crops)
    np.save(folder / "landmarks.npy", store.landmarks)
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(store.rows[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in store.rows)
