"""`vidguard triage`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vidguard.cli.analyze import ready_sandbox
from vidguard.cli.options import (
    DEFAULTS,
    Device,
    MaxBytes,
    MaxFrames,
    MaxPixels,
    MaxSeconds,
    MaxStillPixels,
    MaxStreams,
    MaxWorkSeconds,
    Sandboxed,
    Weights,
)
from vidguard.cli.sources import expand
from vidguard.cli.terminal import complain, defect, note, out
from vidguard.config import AnalysisConfig, Limits
from vidguard.errors import VidguardError
from vidguard.text import printable

if TYPE_CHECKING:
    from vidguard.detector import Detector
    from vidguard.sandbox import Sandbox

CHECK, FAILED = 1, 3
EPILOG: Final = """
Examples:

  vidguard triage uploads/

  vidguard triage uploads/ --json > triage.jsonl

Exit codes:

  0   nothing is to be analysed: every source was cleared or shows no face

  1   at least one source is to be analysed

  2   the command can't be carried out as given: option, weights, device

  3   at least one source could not be looked at; the others were
"""


def triage(
    context: typer.Context,
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE", help="Files, folders (searched recursively) or quoted globs.")
    ],
    misses: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of fakes that may be cleared wrongly: 0.01 or 0.02.")
    ] = 0.01,
    of: Annotated[
        str, typer.Option(metavar="WHICH", help="Of all fakes, or of those found by `vidguard analyze`.")
    ] = "fakes",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one line a source.")] = False,
    weights: Weights = None,
    device: Device = None,
    sandbox: Sandboxed = True,
    max_pixels: MaxPixels = DEFAULTS.max_pixels,
    max_still_pixels: MaxStillPixels = DEFAULTS.max_still_pixels,
    max_seconds: MaxSeconds = DEFAULTS.max_seconds,
    max_bytes: MaxBytes = DEFAULTS.max_bytes,
    max_streams: MaxStreams = DEFAULTS.max_streams,
    max_frames: MaxFrames = DEFAULTS.max_frames,
    max_work_seconds: MaxWorkSeconds = DEFAULTS.max_work_seconds,
) -> None:
    """Say which sources need no analysis, by a look at a few key frames.

    cleared: every face seen lies below the weights' operating point. check: to be analysed. no_face: nothing to judge
    was seen.
    """
    if of not in ("fakes", "found"):
        raise typer.BadParameter("choose fakes or found", param_hint="--of")
    limits = Limits(
        max_bytes=max_bytes,
        max_pixels=max_pixels,
        max_still_pixels=max_still_pixels,
        max_seconds=max_seconds,
        max_streams=max_streams,
        max_frames=max_frames,
        max_work_seconds=max_work_seconds,
    )
    found = expand(sources)
    for line in (*found.overlays, *found.passed_over):
        note(line)
    for problem in found.problems:
        complain(problem)
    failed, to_check = len(found.problems), 0
    if found.files:
        with ready_sandbox(sandbox) as ready:
            import vidguard  # torch comes with it: not before the arguments are known to be good
            from vidguard.detector.triage import choose_point

            detector = vidguard.load(weights, device=device, config=AnalysisConfig(limits=limits))
            choose_point(detector.passport, misses, of)  # a point that isn't there is told once, not for every file
            for file in found.files:
                try:
                    to_check += _one(detector, file, misses, of, as_json, ready)
                except VidguardError as error:
                    failed += 1
                    complain(f"{file}: {error}")
                except Exception as error:  # one upload that finds a defect must not take the others down
                    if context.obj.debug:
                        raise
                    failed += 1
                    complain(f"{file}: {defect(error)}")
    raise typer.Exit(FAILED if failed else CHECK if to_check else 0)


def _one(detector: Detector, file: Path, misses: float, of: str, as_json: bool, sandbox: Sandbox | None) -> bool:
    """Look at one file and print the answer; tells whether it is to be analysed."""
    answer = detector.triage(file, misses=misses, of=of, sandbox=sandbox)
    if as_json:
        sys.stdout.write(answer.to_json(indent=None) + "\n")
        sys.stdout.flush()
    else:
        line = f"{answer.outcome.value:8} {printable(str(file))}: {printable(answer.why)}"
        out().print(line, markup=False, soft_wrap=True)
    return answer.outcome.value == "check"
