"""The stages that make a weight set, each restartable from what the earlier ones wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import torch
import typer

from vidguard.detector import Judge
from vidguard.training.calibrate import calibrate, encoder_figures, fit_fusion
from vidguard.training.export import export, passport_of, write_card
from vidguard.training.frames import load_trained, train_encoder
from vidguard.training.material import build_store, open_store
from vidguard.training.recipe import Recipe, load_recipe
from vidguard.training.sequences import forged_sequences, single_frames
from vidguard.training.temporal import train_temporal

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
RecipeName = Annotated[str, typer.Argument(help="A shipped recipe's name, such as base-v1, or a TOML file.")]
Material = Annotated[
    list[Path],
    typer.Option(
        help="Manifest with path,label,kind,dataset,split,group; paths relative to it. Give several if you like."
    ),
]
Work = Annotated[Path, typer.Option(help="Folder for crops, checkpoints and logs; needs about 5 GB.")]
Out = Annotated[Path, typer.Option(help="Folder of weight sets to write into.")]


@app.command()
def prepare(recipe: RecipeName, material: Material, work: Work, workers: int = 2) -> None:
    """Cut every face of the material into a store of aligned crops."""
    store = build_store(material, work / "store", load_recipe(recipe).material, workers=workers)
    typer.echo(f"{len(store.rows)} crops in {work / 'store'}")


@app.command()
def encoder(recipe: RecipeName, name: str, work: Work, workers: int = 2) -> None:
    """Train one encoder of the recipe."""
    train_encoder(name, load_recipe(recipe), open_store(work / "store"), work, workers=workers)


@app.command()
def temporal(recipe: RecipeName, work: Work, out: Out = Path("weights")) -> None:
    """Fuse the trained encoders, train the temporal transformer, calibrate, and export the weight set."""
    plan = load_recipe(recipe)
    store = open_store(work / "store")
    judge = _assemble(plan, work)
    crops = ("dfdc", "mesonet")
    count = plan.temporal.forgeries_per_track
    validation = list(forged_sequences(store, judge, split="val", forgeries=count, seed=plan.seed + 1))
    validation += single_frames(
        store, judge, split="val", datasets=crops, count=10**9, seed=plan.seed + 2, degrade=False
    )
    fit_fusion(judge, validation)
    training = list(forged_sequences(store, judge, split="temporal", forgeries=count, seed=plan.seed + 3))
    # as many single frames as sequences: the transformer then learns to trust the encoders where time says nothing
    training += single_frames(
        store, judge, split="train", datasets=crops, count=len(training), seed=plan.seed + 4, degrade=True
    )
    with (work / "temporal.log").open("w", buffering=1) as log:
        history = train_temporal(judge, training, validation, plan.temporal, seed=plan.seed, log=log)
    calibration, figures = calibrate(judge, validation)
    data = tuple(sorted({r.dataset for r in store.rows if r.split == "train"}))
    shown = {"validation": figures, "encoders": encoder_figures(judge, validation)}
    shown["temporal"] = {"validation_loss_by_epoch": [round(loss, 4) for loss in history]}
    export(judge, passport_of(judge, plan, calibration, shown, data), plan, out)
    write_card(out, plan.name)
    typer.echo(json.dumps(shown, indent=1))


@app.command("all")
def everything(
    recipe: RecipeName, material: Material, work: Work, out: Out = Path("weights"), workers: int = 2
) -> None:
    """Run every stage in order."""
    prepare(recipe, material, work, workers)
    for name in load_recipe(recipe).encoders:
        encoder(recipe, name, work, workers)
    temporal(recipe, work, out)


@app.command()
def card(name: str, development: Annotated[Path | None, typer.Option()] = None, out: Out = Path("weights")) -> None:
    """Write CARD.md from the passport and, if given, the result file of the development benchmark."""
    write_card(out, name, development)


def _assemble(plan: Recipe, work: Path) -> Judge:
    judge = Judge(tuple(plan.encoders), {})
    for name in judge.names:
        judge.encoders[name].load_state_dict(load_trained(name, work).state_dict())
    return judge.eval().to(memory_format=torch.channels_last)


if __name__ == "__main__":
    app()
