"""`vidguard analyze`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from vidguard.cli.options import (
    DEFAULTS,
    Device,
    MaxBytes,
    MaxFrames,
    MaxPixels,
    MaxSeconds,
    MaxStillPixels,
    MaxStreams,
    MaxTracks,
    MaxWorkSeconds,
    Quiet,
    Sandboxed,
    Weights,
)
from vidguard.cli.outputs import Outputs
from vidguard.cli.sources import STDIN, Expanded, expand
from vidguard.cli.spool import Spool, spooled
from vidguard.cli.terminal import complain, defect, err, note, out, progress_bar, reason
from vidguard.config import AnalysisConfig, Limits
from vidguard.errors import VidguardError

if TYPE_CHECKING:
    from rich.console import Console

    from vidguard.detector import Detector
    from vidguard.sandbox import Sandbox
    from vidguard.types import Report

FLAGGED, FAILED = 1, 3


@dataclass
class Tally:
    """What became of the sources of one run."""

    analysed: int = 0
    flagged: int = 0
    incomplete: int = 0
    """Analysed and not flagged, but not seen as a whole: what they hide may be what was looked for."""
    failed: int = 0

    def exit_code(self, *, exit_zero: bool) -> int:
        """3 where an answer is missing or incomplete, else 1 where something is flagged, else 0."""
        if self.failed or self.incomplete:
            return FAILED
        return FLAGGED if self.flagged and not exit_zero else 0

    def __str__(self) -> str:
        """One line for people."""
        partly = f" ({self.incomplete} in part only)" if self.incomplete else ""
        return f"{self.analysed} analysed{partly}, {self.flagged} flagged, {self.failed} could not be analysed"


def analyze(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Files, folders (searched recursively), quoted globs, or - for standard input.",
        ),
    ],
    json: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Write the JSON report; - prints it (several sources: one report per line)."),
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="PATH", help="Write a self-contained HTML report.")] = None,
    overlay: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Write the video (.mp4, no sound) or still (.png) with boxes and probabilities."
        ),
    ] = None,
    weights: Weights = None,
    device: Device = None,
    backend: Annotated[
        str | None, typer.Option(metavar="NAME", help="Reader: pyav, pyav-nvdec or decord.  [default: by device]")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(metavar="N", help="Frames analysed per second of video.  [default: 8]")
    ] = None,
    segment_seconds: Annotated[
        float | None, typer.Option(metavar="N", help="Length of the segments in seconds.  [default: 1]")
    ] = None,
    error_rate: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Decide so that at most this share of genuine sources is flagged, and of manipulated ones called "
            "genuine; one of the weights' rates, such as 0.01.  [default: 0.05]",
        ),
    ] = None,
    max_pixels: MaxPixels = DEFAULTS.max_pixels,
    max_still_pixels: MaxStillPixels = DEFAULTS.max_still_pixels,
    max_seconds: MaxSeconds = DEFAULTS.max_seconds,
    max_bytes: MaxBytes = DEFAULTS.max_bytes,
    max_streams: MaxStreams = DEFAULTS.max_streams,
    max_frames: MaxFrames = DEFAULTS.max_frames,
    max_tracks: MaxTracks = DEFAULTS.max_tracks,
    max_work_seconds: MaxWorkSeconds = DEFAULTS.max_work_seconds,
    max_stdin_bytes: Annotated[
        int, typer.Option(metavar="N", min=1, help="Refuse standard input that is longer, or than --max-bytes.")
    ] = Spool.max_bytes,
    max_stdin_seconds: Annotated[
        float, typer.Option(metavar="N", help="Refuse standard input that hasn't ended after so many seconds.")
    ] = Spool.max_seconds,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Say of each finding which part of the face and which encoders it rests on."),
    ] = False,
    sandbox: Sandboxed = True,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="Exit 0, not 1, when a source is flagged.")] = False,
    quiet: Quiet = False,
) -> None:
    """Find forged faces and say where: per face, per stretch of time.

    With several sources, or a folder or glob, PATH of --json, --html and --overlay is a folder that mirrors theirs:
    a/clip.mp4 gives a/clip.mp4.json, .html and .overlay.mp4.
    """
    if STDIN in sources and len(sources) > 1:
        raise typer.BadParameter("- (standard input) stands alone", param_hint="SOURCE")
    _check_backend(backend, sandbox)
    found = Expanded((), (), (), (), False) if sources == [STDIN] else expand(sources)
    outputs = Outputs(json, html, overlay, found.files, found.several)
    outputs.check()
    limits = Limits(
        max_bytes=max_bytes,
        max_pixels=max_pixels,
        max_still_pixels=max_still_pixels,
        max_seconds=max_seconds,
        max_streams=max_streams,
        max_frames=max_frames,
        max_tracks=max_tracks,
        max_work_seconds=max_work_seconds,
    )
    config = _config(fps, segment_seconds, error_rate, limits)
    stdin = Spool(min(max_bytes, max_stdin_bytes), max_stdin_seconds)
    tally = Tally(failed=len(found.problems))
    for line in (*found.overlays, *(() if quiet else found.passed_over)):
        note(line)
    for problem in found.problems:
        complain(problem)
    if found.files or sources == [STDIN]:
        with ready_sandbox(sandbox) as ready:
            detector = _load(weights, device, config)
            debug = context.obj.debug
            _Run(detector, backend, ready, outputs, found.files, stdin, explain, quiet, debug, tally).all()
    raise typer.Exit(tally.exit_code(exit_zero=exit_zero))


def ready_sandbox(wanted: bool) -> AbstractContextManager[Sandbox | None]:
    """A sandbox that loads beside this process, or none."""
    from vidguard.sandbox import Sandbox

    return Sandbox() if wanted else nullcontext()


def _check_backend(name: str | None, sandbox: bool) -> None:
    if name is None:
        return
    if name == "pyav-nvdec" and sandbox:
        raise typer.BadParameter("pyav-nvdec decodes in this process; add --no-sandbox", param_hint="--backend")
    from vidguard.video import BACKENDS

    if name not in BACKENDS:
        raise typer.BadParameter(f"no reader {name!r}; choose one of {', '.join(BACKENDS)}", param_hint="--backend")


def _config(
    fps: float | None, segment_seconds: float | None, error_rate: float | None, limits: Limits
) -> AnalysisConfig:
    config = AnalysisConfig(error_rate=error_rate, limits=limits)
    if fps is not None:
        config = replace(config, frames_per_second=fps)
    if segment_seconds is not None:
        config = replace(config, segment_seconds=segment_seconds)
    return config


def _load(weights: str | None, device: str | None, config: AnalysisConfig) -> Detector:
    import vidguard  # torch comes with it: not before the arguments are known to be good

    return vidguard.load(weights, device=device, config=config)


@dataclass(frozen=True)
class _Run:
    """One call of the command, after its arguments are understood."""

    detector: Detector
    backend: str | None
    sandbox: Sandbox | None
    outputs: Outputs
    files: tuple[Path, ...]
    """None of them: standard input is the source."""
    stdin: Spool
    explain: bool
    quiet: bool
    debug: bool
    tally: Tally

    def all(self) -> None:
        for number, file in enumerate(self.files or (None,), start=1):
            try:
                self._one(file, f" ({number} of {len(self.files)})" if self.outputs.several else "")
            except VidguardError as error:
                self._fail(file, str(error))
            except OSError as error:
                self._fail(file, reason(error, "an output"))
            except Exception as error:  # one upload that finds a defect must not take the others down
                if self.debug:
                    raise
                self._fail(file, defect(error))
        if self.outputs.several and not self.quiet:
            self._console().print(str(self.tally))

    def _one(self, file: Path | None, position: str) -> None:
        from vidguard.render.table import report_table

        self.outputs.require_free(file)
        with _opened(file, self.stdin) as source:
            with progress_bar(_name(file) + position, quiet=self.quiet) as progress:
                report = self.detector.analyze(source, backend=self.backend, progress=progress, sandbox=self.sandbox)
                if self.explain:
                    report = self.detector.explain(source, report, sandbox=self.sandbox)
            self.outputs.write_reports(report, file)
            self._count(report, file)
            if not self.quiet:
                self._console().print(report_table(report), "", sep="\n")
            self._overlay(source, report, file)

    def _count(self, report: Report, file: Path | None) -> None:
        from vidguard.render.words import is_flagged
        from vidguard.types import Status

        if report.status is Status.UNDECODABLE:
            self._fail(file, report.explanation)
            return
        self.tally.analysed += 1
        self.tally.flagged += is_flagged(report)
        if not report.coverage.complete and not is_flagged(report):
            self.tally.incomplete += 1
            complain(f"{_name(file)}: {report.explanation}")

    def _overlay(self, source: Path | BinaryIO, report: Report, file: Path | None) -> None:
        from vidguard.types import Status

        path = self.outputs.overlay_path(report, file)
        if path is None or report.status is Status.UNDECODABLE:
            return
        from vidguard.render.overlay import save_overlay

        if not isinstance(source, Path):
            source.seek(0)
        with progress_bar(f"drawing {_name(file)}", quiet=self.quiet) as progress:
            save_overlay(source, report, path, progress=progress, sandbox=self.sandbox)

    def _fail(self, file: Path | None, why: str) -> None:
        self.tally.failed += 1
        complain(why if _name(file) in why else f"{_name(file)}: {why}")

    def _console(self) -> Console:
        return err() if self.outputs.json_on_stdout else out()


def _name(file: Path | None) -> str:
    return "standard input" if file is None else str(file)


@contextmanager
def _opened(file: Path | None, stdin: Spool) -> Iterator[Path | BinaryIO]:
    """The file itself, or standard input as a seekable file on disk."""
    if file is not None:
        yield file
        return
    with spooled(sys.stdin.buffer, stdin) as copy:
        yield copy
