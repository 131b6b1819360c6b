"""`vidguard train`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from vidguard.errors import InputError

CARD: Final = "card"
EPILOG: Final = """
Examples:

  vidguard train base-v1 --material INDEX.csv --material MORE.csv --work runs/base-v1

  vidguard train mine.toml --material clips/ --work runs/mine --out my-weights

  vidguard train detectors-v1 --encoder mislnet --material INDEX.csv --work runs/detectors-v1

  vidguard train ensemble-v1 --work runs/detectors-v1

  vidguard train base-v1 --only card --development benchmarks/accuracy/results/base-v1.json

A manifest has the columns path,label,kind,dataset,split,group: paths relative to it, label real or fake, split train or
val (others are left out), group what must not be split, such as a person or the clip a forgery was made from.

A folder has real/ and fake/, or train/real/, train/fake/, val/real/, val/fake/. Its name is the data set's, a file's
name without suffix the group: name a forgery like the file it was made from. Without train/ and val/ a hash of the
group decides, one in five for val.

Genuine videos are forged in part, so that the transformer learns when; of a video that is labelled fake it learns only
that some of it is. One with several people teaches it nothing, as which of them is forged isn't known.

What a stage has finished in --work isn't done again, and a stopped stage goes on: give the same command once more. A
GPU is used where there is one. TensorBoard: pip install 'vidguard[train]', then tensorboard --logdir DIR/tensorboard.
Recipes with meshes = true need that too, and a model file: pip install --no-deps mediapipe==0.10.21.
"""


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped recipe's name (base-v1), or a TOML file.")],
    material: Annotated[
        list[Path] | None,
        typer.Option("--material", metavar="CSV|FOLDER", help="What to learn from (repeatable); see below."),
    ] = None,
    work: Annotated[
        Path | None, typer.Option("--work", metavar="DIR", help="Folder for crops, checkpoints and logs.")
    ] = None,
    out_dir: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of weight sets to write into.")] = Path(
        "weights"
    ),
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", metavar="NAME", help="Make a set of this encoder alone, named after it."),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="STAGE", help="prepare, an encoder's name, temporal, or card (CARD.md alone)."),
    ] = None,
    development: Annotated[
        Path | None,
        typer.Option("--development", metavar="RESULT.json", help="Development benchmark that --only card shows."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", min=1, help="Processes.  [default: one a core]")
    ] = None,
) -> None:
    """Make a weight set: cut faces, train the encoders, fuse them over time, calibrate."""
    from vidguard.cli.terminal import err
    from vidguard.text import printable
    from vidguard.training.export import write_card
    from vidguard.training.pipeline import train as run_stages
    from vidguard.training.recipe import load_recipe

    plan = load_recipe(recipe) if encoder is None else load_recipe(recipe).of_encoder(encoder)
    if development is not None and only != CARD:
        raise InputError("--development goes with --only card")
    if only == CARD:
        write_card(out_dir, plan.name, development)
        return
    if work is None:
        raise InputError("--work DIR is missing: a folder for crops, checkpoints and logs, several GB")
    console = err()

    def show(line: str) -> None:
        console.print(printable(line), markup=False, soft_wrap=True)

    cores = os.cpu_count() or 1  # None where the system doesn't tell
    number = cores if workers is None else workers
    run_stages(plan, material or [], work, out_dir, only=only, workers=number, show=show)
