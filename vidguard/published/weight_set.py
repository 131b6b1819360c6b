"""An imported network -> a complete weight set, judged with as any other, which says that nothing calibrated it."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch

from vidguard.config import AnalysisConfig
from vidguard.detector import Judge
from vidguard.detector.cost import cost_of
from vidguard.detector.golden import golden
from vidguard.encoders import CROP, Encoder
from vidguard.errors import InputError, WeightsError
from vidguard.files import write_whole
from vidguard.published.network import build_encoder, read_content
from vidguard.scoring.calibration import Calibration, Platt
from vidguard.text import printable
from vidguard.weights import (
    Passport,
    TemporalShape,
    WeightEntry,
    enter_in_manifest,
    is_set_name,
    list_weights,
    write_files,
)

UNCALIBRATED: Final = Calibration(
    frame=Platt(1.0, 0.0),
    segment=Platt(1.0, 0.0),
    video=Platt(1.0, 0.0),
    frame_threshold=0.5,
    segment_threshold=0.5,
    video_threshold=0.5,
    threshold_note="these weights are NOT calibrated: this is the network's own output, cut at one half",
    fitted_on=None,
)
_NO_TEMPORAL: Final = TemporalShape(width=1, heads=1, layers=0)

_CARD: Final = """# {name}

{description}

| | |
|---|---|
| Licence | {licence} |
| Imported from | {file}, sha256 `{sha256}` |
| Network | {architecture}, {parameters:,} parameters |
| Input | aligned face crops, {crop} px, brow to chin, resized to {size} px, values 0 to 1 |

- **Not calibrated.** A probability is the sigmoid of the network's own output and says nothing of how often such faces
  are fake. All thresholds are 0.5. A face's figure comes from the mean
  logit of its more suspicious half, a video's from its most suspicious face, corrected for how many there are.
- No temporal model was trained: every frame keeps the network's own logit.
- vidguard's crops are tighter than the boxes x1.3 that MesoNet and Xception were published with: published figures
  don't carry over.
- What the network was trained on isn't in its file. vidguard has measured nothing of it.
"""


def import_weights(
    path: Path, *, architecture: str, name: str, out: Path, licence: str | None = None, fake_output: int = 1
) -> WeightEntry:
    """Read a published weight file (see `read_encoder`) and write it as the weight set out/<name>/.

    licence: the terms that the file was published under; the card says so where they aren't given. fake_output: of a
    network with two outputs, which means fake.

    The set is whole or not there; `vidguard.load(str(entry.folder))` takes it. Raises WeightsError where the file is
    refused or the set is there already, InputError on an unfit name, architecture or licence.
    """
    if not is_set_name(name):
        raise InputError(f"a weight set can't be called {name!r}; use up to 64 letters, digits, dots, - and _")
    terms = "not stated; ask who published the file" if licence is None else licence
    if not terms.isprintable():
        raise InputError("the licence must be one line of text")
    target = out / name
    if target.exists():
        raise WeightsError(f"{target} is there already; give another name, or remove it first")
    if (out / "manifest.toml").exists():
        list_weights(out)  # one that can't be read is found before anything is written beside it
    content = read_content(path, architecture)
    encoder = build_encoder(content, path.name, architecture, fake_output=fake_output)
    file = printable(path.name)
    sha256 = hashlib.sha256(content).hexdigest()
    judge = _judge(encoder, architecture)
    passport = _passport(
        name, architecture, {"imported_from": {"file": file, "sha256": sha256}, "cost": cost_of(judge)}
    )
    description = f"{type(encoder).__name__} imported from {file}."
    card = _CARD.format(
        name=name,
        description=description,
        licence=terms,
        file=file,
        sha256=sha256,
        architecture=architecture,
        parameters=sum(p.numel() for p in encoder.parameters()),
        crop=CROP.size,
        size=encoder.input_size,
    )
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=out) as unfinished:
        made = Path(unfinished) / name
        write_files(made, judge.state_dict(), golden(judge), passport)
        write_whole(made / "CARD.md", card.encode())
        made.rename(target)
    return enter_in_manifest(out, name, description, terms)


def _passport(name: str, architecture: str, figures: dict[str, Any]) -> Passport:
    return Passport(
        name=name,
        encoders=(architecture,),
        temporal=_NO_TEMPORAL,
        crop=CROP,
        frames_per_second=AnalysisConfig().frames_per_second,
        calibration=UNCALIBRATED,
        training_data=(),
        figures=figures,
    )


def _judge(encoder: Encoder, architecture: str) -> Judge:
    """The encoder alone: a fusion that changes nothing and the smallest temporal part, all zeros, adding nothing."""
    judge = Judge((architecture,), asdict(_NO_TEMPORAL))
    judge.encoders[architecture].load_state_dict(encoder.state_dict())
    with torch.no_grad():
        for parameter in judge.temporal.parameters():
            parameter.zero_()
        judge.fusion.weight.fill_(1.0)
        judge.fusion.bias.zero_()
    return judge.eval()
