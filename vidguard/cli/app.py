"""The `vidguard` command: its commands, and how every failure ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from vidguard._version import __version__
from vidguard.cli.about import models, schema
from vidguard.cli.analyze import analyze
from vidguard.cli.benchmark import app as benchmark
from vidguard.cli.demo import demo
from vidguard.cli.forge import forge
from vidguard.cli.terminal import complain, defect, reason
from vidguard.cli.train import EPILOG as TRAIN_EPILOG
from vidguard.cli.train import train
from vidguard.cli.triage import EPILOG as TRIAGE_EPILOG
from vidguard.cli.triage import triage
from vidguard.cli.weights import app as weights
from vidguard.errors import VidguardError

USAGE_ERROR: Final = 2
INTERNAL_ERROR: Final = 70  # EX_SOFTWARE of sysexits.h
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells report it

_ANALYZE_EPILOG: Final = """
Examples:

  vidguard analyze interview.mp4

  vidguard analyze interview.mp4 --html report.html --overlay marked.mp4

  vidguard analyze uploads/ --json reports/ --html reports/ --quiet

  vidguard analyze "clips/**/*.mov" --json - | jq .fake_prob

  cat clip.mp4 | vidguard analyze - --json -

Exit codes:

  0   everything was analysed, nothing is flagged (also where there was no face to judge)

  1   everything was analysed, at least one source reaches the threshold of the weights

  2   the command can't be carried out as given: option, weights, device, output path

  3   at least one source could not be analysed, or only in part (damaged, cut, partly hidden; nothing is flagged in
      what was seen), or its output not written; the others were

  70  a defect in vidguard that stopped everything; 130 interrupted
"""

app = typer.Typer(
    name="vidguard",
    help="Find deepfakes in video and see where: per face, per stretch of time, a calibrated probability.",
    epilog="Start with `vidguard demo`, then `vidguard analyze --help`.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command(epilog=_ANALYZE_EPILOG)(analyze)
app.command(epilog=TRIAGE_EPILOG)(triage)
app.command()(demo)
app.command()(forge)
app.command()(models)
app.command()(schema)
app.add_typer(benchmark)
app.command(epilog=TRAIN_EPILOG)(train)
app.add_typer(weights)


class _Settings:
    """What the command line as a whole was told."""

    debug = False


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vidguard {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something goes wrong.")] = False,
) -> None:
    context.obj.debug = debug


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; no exception leaves, except under --debug."""
    settings = _Settings()
    try:
        app(list(arguments), prog_name="vidguard", obj=settings)
    except SystemExit as finished:
        return finished.code if isinstance(finished.code, int) else 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except VidguardError as error:
        if settings.debug:
            raise
        complain(str(error))
        return USAGE_ERROR
    except OSError as error:
        if settings.debug:
            raise
        complain(f"{reason(error, 'an output')}; free some space there or give another path")
        return USAGE_ERROR
    except Exception as error:  # the outermost frame: a defect is told in one line, not by a traceback
        if settings.debug:
            raise
        complain(defect(error))
        return INTERNAL_ERROR
    return 0


def main() -> None:
    """Entry point of the `vidguard` command."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that can't show a block or a tick gets a question mark, not a crash.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.exit(run(sys.argv[1:]))
