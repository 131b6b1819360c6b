"""How much of an encoder's last round to keep: validation frame AUC of its mixtures with the round before.

    python benchmarks/accuracy/rounds.py --work WORK --out RESULT.json

--work is the folder of a training whose encoder has run at least two rounds, or one on from a weight set, which then
counts as the round before. What wins here becomes `last_round_share`
in the recipe; one share serves all kinds of material, so it is chosen on all of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray
from rich.progress import track as progress
from safetensors.torch import load_file
from surroundings import environment
from validation import DEGRADED, SETS, validation_crops

from vidguard.encoders import ENCODERS, Encoder
from vidguard.metrics import auc
from vidguard.training.checkpoint import continued
from vidguard.training.frames import encode
from vidguard.training.material import Store, open_store
from vidguard.training.recipe import load_recipe

Picture = NDArray[np.uint8]
_SHARES: Final = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0)
_HARDEST: Final = "H.264 crf 35"


def main(
    work: Annotated[Path, typer.Option(help="Folder of a training.")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
    recipe: Annotated[str, typer.Option(help="Its recipe.")] = "base-v1",
    encoder: Annotated[str, typer.Option(help="The encoder.")] = "efficientnet_lite0",
    limit: Annotated[int, typer.Option(help="Crops of a set.")] = 1000,
) -> None:
    """Score every mixture on the same crops."""
    plan = load_recipe(recipe)
    last = len(plan.encoders[encoder].rounds) - 1
    after = load_file(work / f"{encoder}.round{last}.safetensors")
    if last:
        before = load_file(work / f"{encoder}.round{last - 1}.safetensors")
    else:
        before = continued(plan, f"encoders.{encoder}.")
    material = _material(open_store(work / "store"), limit)
    rows = {}
    for share in progress(_SHARES, description="shares"):
        model = ENCODERS[encoder]()
        mixed = {k: before[k].lerp(v, share) if v.is_floating_point() else v for k, v in after.items()}
        model.load_state_dict(mixed)
        rows[f"{share:g}"] = _figures(model.eval(), material)
    result = {
        "environment": environment("torch"),
        "what": f"frame AUC on up to {limit} validation crops a set, and on clips of generators that nothing was "
        "trained on, by the last round's share of the weights",
        "recipe": recipe,
        "encoder": encoder,
        "shares": rows,
    }
    out.write_text(json.dumps(result, indent=1) + "\n")
    typer.echo(json.dumps(result, indent=1))


def _material(store: Store, limit: int) -> dict[str, tuple[Picture, NDArray[np.bool_]]]:
    """By name of a set crops (N, S, S, 3) and whether they are fake."""
    material = {}
    for name in SETS:
        index, change = validation_crops(store, name, limit)
        truth = np.array([store.rows[i].is_fake for i in index])
        changes = {name: change} | ({f"{name}, {_HARDEST}": DEGRADED[_HARDEST]} if name == "dfdc" else {})
        for label, each in changes.items():
            crops = [np.asarray(store.crops[i]) for i in index]
            material[label] = np.stack([crop if each is None else each(crop) for crop in crops]), truth
    for name, index in _clips(store).items():
        material[name] = store.crops[index], np.array([store.rows[i].is_fake for i in index])
    return material


def _clips(store: Store) -> dict[str, NDArray[np.int64]]:
    """Every third frame of the clips of the split val: panels by their data set, other fakes and all genuine ones."""
    every = [track for fake in (False, True) for track in store.tracks(split="val", minimum=1, is_fake=fake)]
    tracks = [(store.rows[track[0]].dataset, track[::3]) for track in every]
    found = {
        "live swaps": [t for dataset, t in tracks if dataset == "deepfacelive"],
        "lip-sync panels": [t for dataset, t in tracks if dataset == "diff2lip"],
        "talking heads": [t for dataset, t in tracks if dataset not in ("deepfacelive", "diff2lip")],
    }
    return {name: np.concatenate(chosen) for name, chosen in found.items() if chosen}


def _figures(model: Encoder, material: dict[str, tuple[Picture, NDArray[np.bool_]]]) -> dict[str, Any]:
    figures = {}
    for name, (crops, truth) in material.items():
        figures[name] = round(auc(truth, encode(model, crops, np.arange(len(crops)))[1]), 4)
    return figures | {"mean": round(float(np.mean(list(figures.values()))), 4)}


if __name__ == "__main__":
    typer.run(main)
