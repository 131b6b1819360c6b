"""`vidguard models` and `vidguard schema`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidguard.render.words import printable

if TYPE_CHECKING:
    from vidguard.weights import WeightEntry


def models(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER]...", help="Folders of weight sets to list after the installed ones."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """List the weight sets: encoders, parameters, size, validation figures and licence.

    A set in a FOLDER is used by its path, as `--weights FOLDER/NAME`.
    """
    from vidguard.weights import list_weights

    sets = [_facts(entry, entry.name) for entry in list_weights()]
    for folder in folders or ():
        sets += [_facts(entry, str(entry.folder)) for entry in list_weights(folder)]
    if as_json:
        sys.stdout.write(json.dumps(sets, indent=2) + "\n")
    else:
        _show(sets)


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
        "parameters": count_parameters(entry),
        "size_mb": round(entry.size_bytes / 1e6, 2),
        "calibrated_on": passport.calibration.fitted_on,
        "validation": passport.figures.get("validation", {}),
    }


def _show(sets: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from vidguard.cli.terminal import out

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("name", style="bold", overflow="fold")
    table.add_column("encoders", no_wrap=True)
    table.add_column("parameters", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("video AUC, validation")
    table.add_column("what it is, licence")
    for one in sets:
        areas = [f"{data} {figures['auc']:.3f}" for data, figures in one["validation"].get("video", {}).items()]
        words = [one["description"], one["licence"]]
        if one["calibrated_on"] is None:
            words.insert(1, "not calibrated")
        size = (f"{one['parameters']:,}", f"{one['size_mb']:.1f} MB")
        cells = ([one["load"]], one["encoders"], *([text] for text in size), areas or ["none"], words)
        # a folder's manifest is anybody's: what it says must not reach the terminal as control codes
        table.add_row(*(Text("\n".join(printable(line) for line in cell)) for cell in cells))
    out().print(table)
