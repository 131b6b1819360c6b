"""Writing a weight set: model, golden inputs and outputs, passport, manifest entry and card."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import TypeAdapter
from safetensors.torch import save_file

from vidguard.detector import Judge
from vidguard.encoders import CROP
from vidguard.training.recipe import Recipe
from vidguard.types import write_whole
from vidguard.weights import Calibration, Passport

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_GOLDEN_CROPS = 4


def export(judge: Judge, passport: Passport, recipe: Recipe, folder: Path) -> None:
    """Write folder/<name>/ and its entry in folder/manifest.toml."""
    target = folder / recipe.name
    target.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in judge.state_dict().items()}, target / "model.safetensors")
    save_file(golden(judge), target / "golden.safetensors")
    for file in target.glob("*.safetensors"):
        file.chmod(0o644)  # safetensors writes for the owner alone; installed weights are for everyone
    text = json.dumps(json.loads(TypeAdapter(Passport).dump_json(passport)), indent=1) + "\n"
    write_whole(target / "passport.json", text.encode())
    _write_manifest(folder, recipe)


@torch.inference_mode()
def golden(judge: Judge) -> dict[str, torch.Tensor]:
    """Made-up crops and what the network answers to them, so that any installation can be checked."""
    crops = golden_crops()
    features = judge.encode(crops)
    times = torch.arange(_GOLDEN_CROPS, dtype=torch.float64)[None] / 8
    valid = torch.ones(1, _GOLDEN_CROPS, dtype=torch.bool)
    embeddings = {n: e[None] for n, e in features.embeddings.items()}
    output = judge.temporal(embeddings, features.fake_logit[None], times, valid)
    return {
        "crops": crops,
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


def write_card(folder: Path, name: str, development: Path | None = None) -> None:
    """Generate folder/<name>/CARD.md from the passport and, where measured, the development figures."""
    target = folder / name
    # Markdown from our own figures: there is no HTML to escape
    environment = Environment(loader=PackageLoader("vidguard.training"), undefined=StrictUndefined, autoescape=False)  # noqa: S701
    entry = tomllib.loads((folder / "manifest.toml").read_text())["weights"][name]
    text = environment.get_template("card.md.j2").render(
        entry=entry,
        name=name,
        passport=json.loads((target / "passport.json").read_text()),
        development=json.loads(development.read_text()) if development else None,
        development_path=development,
        size_mb=(target / "model.safetensors").stat().st_size / 1e6,
    )
    write_whole(target / "CARD.md", text.encode())


def _write_manifest(folder: Path, recipe: Recipe) -> None:
    path = folder / "manifest.toml"
    entries = tomllib.loads(path.read_text())["weights"] if path.is_file() else {}
    files = ("model.safetensors", "golden.safetensors", "passport.json")
    entries[recipe.name] = {
        "description": recipe.description,
        "licence": recipe.licence,
        "default": entries.get(recipe.name, {}).get("default", not entries),
        "sha256": {f: hashlib.sha256((folder / recipe.name / f).read_bytes()).hexdigest() for f in files},
    }
    lines = ["# Written by `python -m vidguard.training export`; sha256 of every file that is read at run time.", ""]
    for name, entry in entries.items():
        lines += [f"[weights.{json.dumps(name)}]", f"description = {json.dumps(entry['description'])}"]
        lines += [f"licence = {json.dumps(entry['licence'])}", f"default = {str(entry['default']).lower()}"]
        lines += [f"[weights.{json.dumps(name)}.sha256]"]
        lines += [f"{json.dumps(file)} = {json.dumps(digest)}" for file, digest in entry["sha256"].items()]
        lines.append("")
    write_whole(path, "\n".join(lines).encode())


def passport_of(
    judge: Judge, recipe: Recipe, calibration: Calibration, figures: dict[str, Any], data: tuple[str, ...]
) -> Passport:
    """The passport of a trained judge."""
    return Passport(
        name=recipe.name,
        encoders=judge.names,
        temporal={},
        crop=CROP,
        frames_per_second=recipe.material.video_frames_per_second,
        calibration=calibration,
        training_data=data,
        figures={**figures, "recipe": asdict(recipe)},
    )
