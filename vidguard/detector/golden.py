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
    """Smooth coloured patterns (4, 3, 224, 224) uint8, the same on every machine: integers only."""
    ys, xs = torch.meshgrid(torch.arange(CROP.size), torch.arange(CROP.size), indexing="ij")
    channels = [
        (xs * (k + 1) + ys * (c + 2) + (xs * ys) // (7 + k)) % 256 for k in range(_GOLDEN_CROPS) for c in range(3)
    ]
    return torch.stack(channels).reshape(_GOLDEN_CROPS, 3, CROP.size, CROP.size).to(torch.uint8)
