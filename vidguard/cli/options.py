"""The options that several commands have, each declared once."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from vidguard.config import Limits

Weights = Annotated[str | None, typer.Option(metavar="NAME", help="Weights to judge with; see `vidguard models`.")]
Device = Annotated[
    str | None, typer.Option(metavar="DEVICE", help="cpu, cuda or cuda:N.  [default: a GPU if there is one]")
]
Sandboxed = Annotated[
    bool,
    typer.Option(
        "--sandbox/--no-sandbox",
        help="Decode in a child process that can reach nothing but its source; without it, in this one.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no table; errors still show.")]

# ---- how large a source may be, and how much work it may make ----

DEFAULTS: Final = Limits()
MaxPixels = Annotated[
    int, typer.Option(metavar="N", help="Refuse videos of more pixels a frame; larger stills are read smaller.")
]
MaxStillPixels = Annotated[int, typer.Option(metavar="N", help="Refuse still pictures of more pixels.")]
MaxSeconds = Annotated[float, typer.Option(metavar="N", help="Refuse longer videos, or cut them.")]
MaxBytes = Annotated[int, typer.Option(metavar="N", help="Refuse larger files.")]
MaxStreams = Annotated[int, typer.Option(metavar="N", help="Refuse containers of more streams.")]
MaxFrames = Annotated[int, typer.Option(metavar="N", help="End the work on a source after so many decoded frames.")]
MaxTracks = Annotated[int, typer.Option(metavar="N", help="End the work on a source after so many followed faces.")]
MaxWorkSeconds = Annotated[float, typer.Option(metavar="N", help="End the work on a source after so many seconds.")]
