"""What each encoder costs: time a face on one thread, parameters, multiplications, size on disk.

    python benchmarks/speed/encoders.py --out RESULT.json

Untrained networks: time doesn't depend on what was learnt. The time is the processor's for this one thread, which
other programs on a busy machine lengthen much less than what a clock shows. Rounds are interleaved; the median is
reported with the range. Hold ratios against ratios: absolute figures belong to the machine.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from safetensors.torch import save
from timing import environment, spread, take_turns, write
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

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
    times = take_turns({name: partial(_encode, encoder, crops) for name, encoder in encoders.items()}, rounds)
    result = {
        "what": "processor milliseconds a face from uint8 crops, one thread, float32: median of rounds, least, most",
        "environment": environment(),
        "rounds": rounds,
        "faces": faces,
        "encoders": {
            name: _cost(encoder) | {"ms_a_face": spread([1000 * cpu / faces for cpu in times[name].cpu], 2)}
            for name, encoder in encoders.items()
        },
    }
    write(result, out)


def _ready(encoder: type[Encoder]) -> Encoder:
    """As the pipeline runs it."""
    made = encoder().eval()
    fold_batch_norms(made)
    return made.to(memory_format=torch.channels_last)


@torch.inference_mode()
def _encode(encoder: Encoder, crops: Tensor) -> None:
    encoder(prepare_crops(crops, encoder.input_size).contiguous(memory_format=torch.channels_last))


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


if __name__ == "__main__":
    typer.run(main)
