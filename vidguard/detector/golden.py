"""Golden outputs: what a weight set must answer on any machine to inputs that everyone can make."""

from __future__ import annotations

from typing import Final

import torch

from vidguard.detector.judge import Judge
from vidguard.encoders import CROP

_GOLDEN_CROPS: Final = 4


@torch.inference_mode()
def golden(judge: Judge) -> dict[str, torch.Tensor]:
    """What the network answers to `golden_crops`, seen 1/8 s apart, so that any installation can be checked."""
    crops = golden_crops()
    features = judge.encode(crops)
    times = torch.arange(_GOLDEN_CROPS, dtype=torch.float64)[None] / 8
    valid = torch.ones(1, _GOLDEN_CROPS, dtype=torch.bool)
    embeddings = {n: e[None] for n, e in features.embeddings.items()}
    output = judge.temporal(embeddings, features.fake_logit[None], times, valid)
    kinds = {} if features.kind_logits is None else {"kind_logits": features.kind_logits.contiguous()}
    return {
        **kinds,
        "times": times,
        "fake_logit": features.fake_logit.contiguous(),
        "frame_logits": output.frame_logits.contiguous(),
        "window_logits": output.window_logits.contiguous(),
    }


def golden_crops() -> torch.Tensor:
    """Two stripes and two cloudscapes (4, 3, 224, 224) uint8, the same on every machine: integers only.

    The clouds are noise of all scales, the coarser the stronger, as in photographs: what reads spectra answers nothing
    to stripes.
    """
    ys, xs = torch.meshgrid(torch.arange(CROP.size), torch.arange(CROP.size), indexing="ij")
    stripes = [(xs * (k + 1) + ys * (c + 2) + (xs * ys) // (7 + k)) % 256 for k in range(2) for c in range(3)]
    clouds = [_clouds(xs, ys, seed) for seed in range(6)]
    return torch.stack(stripes + clouds).reshape(_GOLDEN_CROPS, 3, CROP.size, CROP.size).to(torch.uint8)


def _clouds(xs: torch.Tensor, ys: torch.Tensor, seed: int) -> torch.Tensor:
    cells = (1, 2, 4, 8, 16, 32, 64)
    layers = [cell * _hashed(xs // cell, ys // cell, seed) for cell in cells]
    return torch.stack(layers).sum(0) // sum(cells)


def _hashed(xs: torch.Tensor, ys: torch.Tensor, seed: int) -> torch.Tensor:
    """A number of 0 to 255 for each place, with no pattern to it."""
    mixed = (xs * 374761393 + ys * 668265263 + seed * 974634599) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 1274126177) & 0xFFFFFFFF
    return (mixed ^ (mixed >> 16)) % 256
