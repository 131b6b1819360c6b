"""Time and memory of one still with more faces than are looked at: 1,296 in 8K.

    python benchmarks/speed/crowd.py --out RESULT.json

The picture is a public-domain portrait that comes with scikit-image, 36 times across and 36 times down. Memory is what
the process takes at most, and what it took before for loading weights and judging a picture without faces.
"""

from __future__ import annotations

import resource
from io import BytesIO
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from PIL import Image
from skimage.data import astronaut
from timing import environment, spread, take_turns, write

import vidguard

_TIMES: Final = (36, 36)
_FACE: Final = (80, 40, 371, 205)  # of the portrait, px
_TILE_PX: Final = (212, 120)


def main(
    out: Annotated[Path, typer.Option(help="Result file to write.")],
    rounds: Annotated[int, typer.Option(help="Times that the picture is analysed.")] = 2,
) -> None:
    """Measure, and write the result."""
    detector = vidguard.load(device="cpu")
    detector.analyze(_jpeg(np.zeros((64, 64, 3), np.uint8)))
    before = _peak_mib()
    portrait: np.ndarray = astronaut()  # type: ignore[no-untyped-call]
    tile = Image.fromarray(portrait).crop(_FACE).resize(_TILE_PX, Image.Resampling.LANCZOS)
    picture = _jpeg(np.tile(np.asarray(tile), (*_TIMES, 1)))
    report = detector.analyze(picture)
    times = take_turns({"crowd": lambda: detector.analyze(picture)}, rounds)["crowd"]
    result = {
        "what": "one still of many faces: seconds, median of rounds [least, most], and MiB that the process took",
        "environment": environment(detector.device),
        "rounds": rounds,
        "picture": f"{report.source.width}x{report.source.height}, {_TIMES[0] * _TIMES[1]} faces",
        "faces_judged": sum(track.fake_prob is not None for track in report.tracks),
        "faces_left_out": report.coverage.num_faces_left_out,
        "seconds": {"clock": spread(times.clock, 1), "cpu": spread(times.cpu, 1)},
        "peak_mib": {"before": before, "with the picture": _peak_mib()},
    }
    write(result, out)


def _jpeg(pixels: np.ndarray) -> bytes:
    content = BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=92)
    return content.getvalue()


def _peak_mib() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)  # kilobytes on Linux


if __name__ == "__main__":
    typer.run(main)
