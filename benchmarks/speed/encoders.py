"""What each encoder costs: time a face on one thread, parameters, multiplications, size on disk.

    python benchmarks/speed/encoders.py --out RESULT.json

Untrained networks: time doesn't depend on what was learnt. The time is the processor's for this one thread, which
other programs on a busy machine lengthen much less than what a clock shows. Rounds are interleaved; the median is
reported with the range. Hold ratios against ratios: absolute figures belong to the machine.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from safetensors.torch import save
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import vidguard
from vidguard.encoders import CROP, ENCODERS, Encoder, fold_batch_norms, prepare_crops


def main(
    out: Annotated[Path, typer.Option(help="Result file to write.")],
    rounds: Annotated[int, typer.Option(help="Times that everything is measured.")] = 5,
    faces: Annotated[int, typer.Option(help="Faces of a forward pass.")] = 8,
) -> None:
    """Measure every encoder and write the result."""
    torch.set_num_threads(1)
    pixels = np.random.default_rng(0).integers(0, 256, (faces, 3, CROP.size, CROP.size), np.uint8)
    crops = torch.from_numpy(pixels)
    encoders = {name: _ready(encoder) for name, encoder in ENCODERS.items()}
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for number in range(rounds + 1):
        for name, encoder in encoders.items():
            seconds = _seconds(encoder, crops)
            if number:  # caches and lazy initialisation don't count
                times[name].append(1000 * seconds / faces)
    result = {
        "what": "processor milliseconds a face from uint8 crops, one thread, float32: median of rounds, least, most",
        "environment": {
            "vidguard": vidguard.__version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, 1 torch thread",
            "load_average": round(os.getloadavg()[0], 2),
        },
        "rounds": rounds,
        "faces": faces,
        "encoders": {name: _cost(encoder) | _spread(times[name]) for name, encoder in encoders.items()},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    typer.echo(json.dumps(result, indent=1))


def _ready(encoder: type[Encoder]) -> Encoder:
    """As the pipeline runs it."""
    made = encoder().eval()
    fold_batch_norms(made)
    return made.to(memory_format=torch.channels_last)


@torch.inference_mode()
def _seconds(encoder: Encoder, crops: Tensor) -> float:
    began = time.process_time()
    encoder(prepare_crops(crops, encoder.input_size).contiguous(memory_format=torch.channels_last))
    return time.process_time() - began


@torch.inference_mode()
def _cost(encoder: Encoder) -> dict[str, Any]:
    with FlopCounterMode(display=False) as counter:
        encoder(torch.zeros(1, 3, encoder.input_size, encoder.input_size))
    return {
        "input_px": encoder.input_size,
        "parameters": sum(p.numel() for p in type(encoder)().parameters()),
        "multiply_accumulates": counter.get_total_flops() // 2,
        "file_bytes": len(save({k: v.contiguous() for k, v in encoder.state_dict().items()})),
    }


def _spread(values: Iterable[float]) -> dict[str, list[float]]:
    values = list(values)
    return {"ms_a_face": [round(v, 2) for v in (statistics.median(values), min(values), max(values))]}


if __name__ == "__main__":
    typer.run(main)
