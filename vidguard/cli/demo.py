"""`vidguard demo`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from vidguard.cli.terminal import out, progress_bar, reason
from vidguard.errors import VidguardError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidguard.types import Interval, Report


def demo(
    out_dir: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for clip.mp4, report.html and report.json.")
    ] = Path("vidguard-demo"),
    device: Annotated[str | None, typer.Option(metavar="DEVICE", help="cpu, cuda or cuda:N.")] = None,
) -> None:
    """Forge a known stretch of a clip, find it again, and show the answer beside the truth.

    The clip is made from a public-domain portrait that comes with scikit-image; nothing is downloaded.
    """
    try:
        _demo(out_dir, device)
    except OSError as error:
        raise VidguardError(f"{reason(error, str(out_dir))}; give --out a folder that can be written to") from error


def _demo(out_dir: Path, device: str | None) -> None:
    import vidguard
    from vidguard.demo import make_demo_clip
    from vidguard.render.table import report_table, timeline_text

    out_dir.mkdir(parents=True, exist_ok=True)
    console = out()
    console.print("Making a clip and forging a stretch of it ...")
    clip = make_demo_clip(out_dir / "clip.mp4")
    with progress_bar("Analysing", quiet=False) as progress:
        report = vidguard.load(device=device).analyze(clip.path, progress=progress)
    report.save_json(out_dir / "report.json")
    report.save_html(out_dir / "report.html")
    console.print(report_table(report), "", Text("Against the truth"), timeline_text(report, clip.truth), sep="\n")
    console.print(hits_text(report, clip.truth))
    console.print(
        Text(f"Open {out_dir / 'report.html'} in a browser; {out_dir / 'report.json'} is the same for machines.")
    )


def hits_text(report: Report, truth: Sequence[Interval]) -> Text:
    """A tick or cross per whole second: is its middle inside a finding exactly when it was forged?"""
    start, end = report.source.start_seconds, report.source.start_seconds + report.coverage.seconds
    middles = [start + i + 0.5 for i in range(math.floor(end - start))]
    right = [_inside(report.findings, time) == _inside(truth, time) for time in middles]
    text = Text("per second      ")
    for hit in right:
        text.append("✓" if hit else "✗", style="green" if hit else "bold red")
    text.append(f"  {sum(right)} of {len(right)} right")
    return text


def _inside(intervals: Sequence[Interval], time: float) -> bool:
    return any(i.start <= time < i.end for i in intervals)
