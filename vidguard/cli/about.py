"""`vidguard models` and `vidguard schema`."""

from __future__ import annotations

import json
import sys


def models() -> None:
    """List the installed weights, the default first."""
    from rich.table import Table
    from rich.text import Text

    from vidguard.cli.terminal import out
    from vidguard.weights import list_weights

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("name", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("licence")
    table.add_column("what it is")
    for entry in list_weights():
        name = Text(entry.name, style="bold")
        table.add_row(name, f"{entry.size_bytes / 1e6:.1f} MB", Text(entry.licence), Text(entry.description))
    out().print(table)


def schema() -> None:
    """Print the JSON Schema of the report."""
    from vidguard.types import Report

    sys.stdout.write(json.dumps(Report.json_schema(), indent=2) + "\n")
