"""`vidguard weights import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidguard.cli.terminal import out

app = typer.Typer(
    name="weights",
    help="Weight sets of your own.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Keras .h5 (needs vidguard[keras]), a state dict saved by torch.save, or safetensors."
        ),
    ],
    architecture: Annotated[str, typer.Option("--as", metavar="KIND", help="meso4, mesoinception4 or xception.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="What the weight set is to be called.")],
    out_dir: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of weight sets to write into.")],
    licence: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Terms that FILE was published under, for the card.")
    ] = None,
    fake_output: Annotated[
        int, typer.Option(metavar="0|1", help="Of a network with two outputs, which means fake.")
    ] = 1,
) -> None:
    """Make a weight set of a published detector's weight file.

    The set judges videos through the whole pipeline, but its scores are NOT calibrated, and it has no temporal part.
    """
    from vidguard.published import import_weights

    entry = import_weights(
        file, architecture=architecture, name=name, out=out_dir, licence=licence, fake_output=fake_output
    )
    out().print(
        f"wrote {entry.folder}; its scores are not calibrated (see {entry.folder / 'CARD.md'})",
        f"use it: vidguard analyze clip.mp4 --weights {entry.folder}",
        sep="\n",
        markup=False,
        soft_wrap=True,
    )
