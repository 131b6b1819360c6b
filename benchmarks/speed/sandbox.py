"""What decoding in a sandbox costs: the same analysis with and without, and the starts.

    python benchmarks/speed/sandbox.py CLIP [CLIP ...] --out RESULT.json

Runs with and without take turns, so that a busy machine hurts both alike; of each the median is reported with the
range. The sandbox's server is started once, as the command line does, and its start is measured apart.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import av
import typer
from PIL import Image
from timing import environment, spread, take_turns, write

import vidguard
from vidguard.sandbox import Sandbox
from vidguard.video import open_source


def main(
    clips: Annotated[list[Path], typer.Argument(help="Real clips with a face.")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
    rounds: Annotated[int, typer.Option(help="Times that everything is measured.")] = 5,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
) -> None:
    """Measure every clip and write the result."""
    detector = vidguard.load(device=device)
    still = BytesIO()
    Image.new("RGB", (64, 64)).save(still, "PNG")
    start = time.perf_counter()
    with Sandbox() as sandbox:
        _read(still.getvalue(), sandbox)
        started = time.perf_counter() - start
        result = {
            "what": "seconds by the clock and of CPU, the child's included: median of rounds [least, most]; ratio: of "
            "medians, with the sandbox to without. On a busy machine the clock favours two processes, CPU time doesn't",
            "environment": environment(detector.device, av=av.__version__),
            "rounds": rounds,
            "sandbox": sandbox.note,
            "start, seconds": round(started, 2),
            "a still of 64x64": _compare(lambda given: _read(still.getvalue(), given), sandbox, 4 * rounds),
            "clips": {clip.name: _measure(clip, detector, sandbox, rounds) for clip in clips},
        }
    write(result, out)


def _measure(clip: Path, detector: vidguard.Detector, sandbox: Sandbox, rounds: int) -> dict[str, Any]:
    with open_source(clip) as reader:
        info = reader.info
    return {
        "clip": f"{info.codec} {info.width}x{info.height}, {info.frame_rate:.3g} frames/s",
        "analyse": _compare(lambda given: detector.analyze(clip, sandbox=given), sandbox, rounds),
        "read every frame": _compare(lambda given: _read(clip, given), sandbox, rounds),
    }


def _compare(task: Callable[[Sandbox | None], object], sandbox: Sandbox, rounds: int) -> dict[str, Any]:
    tasks = {"without": lambda: task(None), "with": lambda: task(sandbox)}
    times = take_turns(tasks, rounds, lambda: _cpu_seconds(sandbox))
    taken = {
        "clock": {name: spread(of.clock, 3) for name, of in times.items()},
        "cpu": {name: spread(of.cpu, 3) for name, of in times.items()},
    }
    return {clock: {**of, "ratio": round(of["with"][0] / of["without"][0], 3)} for clock, of in taken.items()}


def _cpu_seconds(sandbox: Sandbox) -> float:
    """Of this process, the sandbox's server and the decoders that have ended."""
    assert sandbox._process is not None
    fields = Path(f"/proc/{sandbox._process.pid}/stat").read_text().rpartition(")")[2].split()
    return time.process_time() + sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _read(source: Path | bytes, sandbox: Sandbox | None) -> int:
    with open_source(source, sandbox=sandbox) as reader:
        return sum(len(batch) for batch in reader.batches())


if __name__ == "__main__":
    typer.run(main)
