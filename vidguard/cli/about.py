"""`vidguard models` and `vidguard schema`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vidguard.cli.terminal import complain, out
from vidguard.errors import WeightsError
from vidguard.text import printable

if TYPE_CHECKING:
    from vidguard.weights import WeightEntry

FAILED: Final = 3


def models(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER]...", help="Folders of weight sets to list after the installed ones."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """List the weight sets: encoders, parameters, size, cost, validation figures, licence, and which kinds it names.

    Cost: processor milliseconds that the encoders took for a face where the set was made.

    A set in a FOLDER is used by its path, as `--weights FOLDER/NAME`. Where one is damaged, or a FOLDER's
    manifest is, the others are listed and the exit code is 3.
    """
    from vidguard.weights import list_weights

    entries = [(entry, entry.name) for entry in list_weights()]
    failed = False
    for folder in folders or ():
        try:
            entries += [(entry, str(entry.folder)) for entry in list_weights(folder)]
        except WeightsError as error:
            if not (folder / "manifest.toml").exists():
                raise
            complain(str(error))
            failed = True
    sets = []
    for entry, load in entries:
        try:
            sets.append(_facts(entry, load))
        except WeightsError as error:
            complain(f"{load}: {error}")
    if as_json:
        sys.stdout.write(json.dumps(sets, indent=2) + "\n")
    else:
        _show(sets)
    raise typer.Exit(FAILED if failed or len(sets) < len(entries) else 0)


def schema() -> None:
    """Print the JSON Schema of the report."""
    from vidguard.types import Report

    sys.stdout.write(json.dumps(Report.json_schema(), indent=2) + "\n")


def _facts(entry: WeightEntry, load: str) -> dict[str, Any]:
    """What is known of a weight set, JSON-ready; load: what `vidguard.load` takes for it."""
    from vidguard.weights import count_parameters, read_passport

    passport = read_passport(entry)
    return {
        "name": entry.name,
        "load": load,
        "default": entry.default,
        "description": entry.description,
        "licence": entry.licence,
        "encoders": list(passport.encoders),
        "kinds": list(passport.kinds),
        "parameters": count_parameters(entry),
        "size_mb": round(entry.size_bytes / 1e6, 2),
        "processor_ms_a_face": _number(_entries(passport.figures.get("cost")).get("processor_ms_a_face")),
        "calibrated_on": passport.calibration.fitted_on,
        "validation": passport.figures.get("validation", {}),
    }


def _show(sets: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("name", style="bold", overflow="fold")
    table.add_column("encoders", no_wrap=True)
    table.add_column("parameters", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("ms a face", justify="right", no_wrap=True)
    table.add_column("video AUC, validation")
    table.add_column("what it is, licence")
    licences = list(dict.fromkeys(one["licence"] for one in sets))
    for one in sets:
        words = [one["description"], f"licence: ({licences.index(one['licence']) + 1})"]
        if one["calibrated_on"] is None:
            words.insert(1, "not calibrated")
        if one["kinds"]:
            words.insert(1, f"names kinds: {', '.join(one['kinds'])}")
        cost = one["processor_ms_a_face"]
        size = (f"{one['parameters']:,}", f"{one['size_mb']:.1f} MB", "–" if cost is None else f"{cost:.1f}")
        areas = _areas(one["validation"]) or ["none"]
        cells = ([one["load"]], one["encoders"], *([text] for text in size), areas, words)
        # a folder's manifest is anybody's: what it says must not reach the terminal as control codes
        table.add_row(*(Text("\n".join(printable(line) for line in cell)) for cell in cells))
    out().print(table)
    for number, licence in enumerate(licences, start=1):
        out().print(Text(f"({number}) {printable(licence)}"))


def _areas(validation: Any) -> list[str]:
    """Each material and its video AUC. A passport's figures have no fixed form: what isn't an AUC is left out."""
    lines = []
    for data, figures in _entries(_entries(validation).get("video")).items():
        auc = _number(_entries(figures).get("auc"))
        if auc is not None and auc <= 1:
            lines.append(f"{data} {auc:.3f}")
    return lines


def _number(value: Any) -> float | None:
    """A figure from 0 to a million, None for anything else."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e6 else None


def _entries(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
