"""The options that say how large a source may be."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from vidguard.config import Limits

DEFAULTS: Final = Limits()
MaxPixels = Annotated[
    int, typer.Option(metavar="N", help="Refuse videos of more pixels a frame; larger stills are read smaller.")
]
MaxStillPixels = Annotated[int, typer.Option(metavar="N", help="Refuse still pictures of more pixels.")]
MaxSeconds = Annotated[float, typer.Option(metavar="N", help="Refuse longer videos, or cut them.")]
MaxBytes = Annotated[int, typer.Option(metavar="N", help="Refuse larger files.")]
MaxStreams = Annotated[int, typer.Option(metavar="N", help="Refuse containers of more streams.")]
