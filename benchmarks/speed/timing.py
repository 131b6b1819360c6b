"""What the speed benchmarks share: rounds of tasks that take turns, and what they were measured with."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import typer

import vidguard


@dataclass
class Times:
    """Seconds that each round of one task took, by the clock and of the processor."""

    clock: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def take_turns(
    tasks: Mapping[str, Callable[[], object]],
    rounds: int,
    cpu_seconds: Callable[[], float] = time.process_time,
    settle: Callable[[], object] = lambda: None,
) -> dict[str, Times]:
    """Time tasks in turns, so that a busy machine hurts all alike.

    A round before the first isn't counted: caches and lazy initialisation. settle: waits for work that a task left
    running, on a GPU.
    """
    times = {name: Times() for name in tasks}
    for number in range(rounds + 1):
        for name, task in tasks.items():
            began, cpu = time.perf_counter(), cpu_seconds()
            task()
            settle()
            if number:
                times[name].clock.append(time.perf_counter() - began)
                times[name].cpu.append(cpu_seconds() - cpu)
    return times


def spread(values: Sequence[float], digits: int) -> list[float]:
    """Give the median, the least and the most."""
    return [round(one, digits) for one in (statistics.median(values), min(values), max(values))]


def environment(device: torch.device | str = "cpu", **more: str) -> dict[str, Any]:
    """Versions and the machine, and how busy it is."""
    threads = torch.get_num_threads()
    return {
        "vidguard": vidguard.__version__,
        "torch": str(torch.__version__),
        **more,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {threads} torch thread{'s' if threads > 1 else ''}",
        "device": str(device),
        "load_average": round(os.getloadavg()[0], 2),
    }


def write(result: Mapping[str, Any], out: Path) -> None:
    """Write a result file, and show it."""
    text = json.dumps(result, indent=1)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text + "\n")
    typer.echo(text)
