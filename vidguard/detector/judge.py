"""The network as a whole: encoders, their fusion, the temporal transformer and the calibration that belongs to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vidguard.encoders import CROP, ENCODERS, EncoderOutput, fold_batch_norms, prepare_crops
from vidguard.errors import WeightsError
from vidguard.temporal import TemporalOutput, TemporalTransformer
from vidguard.types import KindOfManipulation
from vidguard.weights import Passport, WeightEntry, read_passport, read_tensors

_NO_NUMBERS = (torch.bool, torch.complex32, torch.complex64, torch.complex128)
_BATCH = 32  # crops per forward pass: past this two cores gain nothing, and a GPU little at these sizes


@dataclass(frozen=True)
class FrameFeatures:
    """What the encoders say of N crops: embeddings name -> (N, D), logits name -> (N,), fake_logit (N,) fused.

    kind_logits: (N, 1 + K), the genuine first, then the K kinds; None where the judge tells none apart.
    """

    embeddings: dict[str, Tensor]
    logits: dict[str, Tensor]
    fake_logit: Tensor
    kind_logits: Tensor | None = None


class Judge(nn.Module):
    """Encoders side by side, a linear fusion of their logits, and a transformer over a track's frames.

    kinds: what a linear head on all embeddings tells apart; without any there is no head.
    """

    def __init__(
        self, encoders: tuple[str, ...], temporal: Mapping[str, Any], kinds: tuple[KindOfManipulation, ...] = ()
    ) -> None:
        super().__init__()
        unknown = set(encoders) - set(ENCODERS)
        if unknown or not encoders:
            raise WeightsError(f"unknown encoders {sorted(unknown)}; this version has {', '.join(ENCODERS)}")
        self.names = tuple(sorted(encoders))
        self.encoders = nn.ModuleDict({name: ENCODERS[name]() for name in self.names})
        self.fusion = nn.Linear(len(self.names), 1)
        self.temporal = TemporalTransformer(self.names, **temporal)
        self.kind_names = kinds
        width = sum(ENCODERS[name].embedding_dim for name in self.names)
        self.kinds: nn.Linear | None = nn.Linear(width, 1 + len(kinds)) if kinds else None

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.fusion.weight.device

    @torch.inference_mode()
    def encode(self, crops: Tensor) -> FrameFeatures:
        """Judge crops one by one: (N, 3, H, W) uint8 RGB on any device, N >= 0."""
        embeddings: dict[str, Tensor] = {}
        logits: dict[str, Tensor] = {}
        for name in self.names:
            output = self.encode_by(name, crops)
            embeddings[name], logits[name] = output.embedding, output.fake_logit
        fused = self.fuse(torch.stack([logits[n] for n in self.names], dim=-1))
        kinds = None if self.kinds is None else self.kinds(torch.cat([embeddings[n] for n in self.names], dim=-1))
        return FrameFeatures(embeddings, logits, fused, kinds)

    @torch.inference_mode()
    def encode_by(self, name: str, crops: Tensor) -> EncoderOutput:
        """What one of the encoders says of crops (N, 3, H, W) uint8 RGB on any device, N >= 0."""
        encoder, size = self.encoders[name], ENCODERS[name].input_size
        outputs = [
            encoder(prepare_crops(chunk.to(self.device), size).contiguous(memory_format=torch.channels_last))
            for chunk in (torch.split(crops, _BATCH) if len(crops) else [crops])
        ]
        return EncoderOutput(torch.cat([o.embedding for o in outputs]), torch.cat([o.fake_logit for o in outputs]))

    @torch.inference_mode()
    def judge_window(
        self, embeddings: dict[str, Tensor], frame_logits: Tensor, times: Tensor, valid: Tensor
    ) -> TemporalOutput:
        """What the transformer makes of one window of a track: see `TemporalTransformer`."""
        output: TemporalOutput = self.temporal(embeddings, frame_logits, times, valid)
        return output

    def ready(self) -> Judge:
        """Itself, in eval mode and as fast as its networks can be made; not to be stored after."""
        self.eval()
        fold_batch_norms(self.encoders)
        return self.to(memory_format=torch.channels_last)

    def fuse(self, logits: Tensor) -> Tensor:
        """(..., E) encoder logits in the order of `names` -> (...) fused logit."""
        fused: Tensor = self.fusion(logits).squeeze(-1)
        return fused


def load_judge(entry: WeightEntry) -> tuple[Judge, Passport]:
    """Build the network of a weight set and fill it; eval mode, CPU. Raises WeightsError when they don't fit."""
    passport = read_passport(entry)
    if passport.crop != CROP:
        raise WeightsError(f"{entry.name} judges faces cut otherwise than this version cuts them; train it again")
    tensors = read_tensors(entry)
    try:
        judge = Judge(passport.encoders, asdict(passport.temporal), passport.kinds)
        _require_kinds_of_number(entry.name, judge.state_dict(), tensors)
        judge.load_state_dict(tensors)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise WeightsError(f"the tensors of {entry.name} don't fit its passport: {error}") from error
    return judge.ready(), passport


def _require_kinds_of_number(name: str, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raise WeightsError for fractions where counts belong and the like: torch would convert them without a word."""
    for key, tensor in found.items():
        both = (tensor, wanted.get(key, tensor))
        if len({one.is_floating_point() for one in both}) > 1 or any(one.dtype in _NO_NUMBERS for one in both):
            raise WeightsError(f"the tensors of {name} don't fit its passport: {key} is {tensor.dtype}")
