"""Every weight set that is found, on the same validation crops: accuracy, cost and licence side by side.

    python benchmarks/accuracy/detectors.py --work WORK --sets DIR --out RESULT.json

--work holds the store that `vidguard train` prepared; nothing in its "val" split was trained on. Judged are the shipped
sets and those in --sets (repeatable); of two of one name the shipped one. Frame figures are of at most 1,000 crops a
data set, seeded, half of each class; the AUC of clips is each passport's own, of the whole pipeline on forged
validation clips. Accuracy is at a calibrated probability of 0.5, and that calibration was fitted on validation crops
too. A detector whose training had the data set's other split is in distribution there: "learnt_from" says so. Rows of
an earlier RESULT whose weights and passport are the same are kept. Fifteen sets take one core about ten minutes.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Final

import torch
import typer
from surroundings import environment
from validation import SETS, figures, validation_crops

from vidguard.detector.cost import cost_of
from vidguard.detector.judge import load_judge
from vidguard.encoders import ENCODERS
from vidguard.files import write_whole
from vidguard.training.material import Store, open_store
from vidguard.weights import WeightEntry, list_weights

SHOWN: Final = ("dfdc", "mesonet", "openforensics (GAN swap)", "generated")
CLIPS: Final = "pristine clips and forgeries"
_KEPT: Final = ("auc", "auc_95", "accuracy", "eer")


def main(
    work: Annotated[Path, typer.Option(help="Folder whose store training prepared.")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
    sets: Annotated[list[Path] | None, typer.Option(help="Folder of more weight sets (repeatable).")] = None,
    limit: Annotated[int, typer.Option(help="Crops of a data set at most.")] = 1000,
) -> None:
    """Measure every weight set and write the result."""
    torch.set_num_threads(1)
    store = open_store(work / "store")
    entries = {entry.name: entry for folder in (*reversed(sets or ()), None) for entry in list_weights(folder)}
    earlier = _earlier(out, limit)
    result: dict[str, Any] = {
        "what": "frame AUC (95 % by source), accuracy at a calibrated 0.5 and EER on validation crops; AUC of clips "
        "from the passports; parameters of the encoders; processor milliseconds a face on one core",
        "crops_at_most": limit,
        "detectors": {},
    }
    for name, entry in sorted(entries.items()):
        row = earlier.get(name, {})
        if any(row.get(key) != digest for key, digest in _digests(entry).items()):
            row = _row(entry, store, limit)
        result["detectors"][name] = row
        typer.echo(f"{name}: " + ", ".join(f"{data} {found['auc']:.3f}" for data, found in row["sets"].items()))
        write_whole(out, (json.dumps(result, indent=1) + "\n").encode())


def _earlier(out: Path, limit: int) -> dict[str, dict[str, Any]]:
    """Rows of a result that is there already, of as many crops."""
    found = json.loads(out.read_text()) if out.is_file() else {}
    return found["detectors"] if found.get("crops_at_most") == limit else {}


def _digests(entry: WeightEntry) -> dict[str, str]:
    """What a row follows from besides the crops: the weights, and the passport with calibration and figures."""
    return {
        "model_sha256": entry.sha256["model.safetensors"],
        "passport_sha256": entry.sha256["passport.json"],
    }


def _row(entry: WeightEntry, store: Store, limit: int) -> dict[str, Any]:
    judge, passport = load_judge(entry)
    row: dict[str, Any] = {
        "environment": environment("torch") | {"load_average": round(os.getloadavg()[0], 2)},
        "description": entry.description,
        "licence": entry.licence,
        **_digests(entry),
        "file_bytes": entry.size_bytes,
        "encoders": list(judge.names),
        "parameters": sum(p.numel() for name in judge.names for p in ENCODERS[name]().parameters()),
        "ms_a_face": cost_of(judge)["processor_ms_a_face"],
        "sets": {},
        "clips": passport.figures.get("validation", {}).get("video", {}).get(CLIPS),
        "kinds": passport.figures.get("kinds"),
    }
    for name in SHOWN:
        found = figures(judge, passport.calibration, store, *validation_crops(store, name, limit))
        row["sets"][name] = {key: found[key] for key in ("real", "fake", "sources")}
        row["sets"][name] |= {key: found["fused"][key] for key in _KEPT}
        row["sets"][name]["learnt_from"] = sorted(set(SETS[name]) & set(passport.training_data))
    return row


if __name__ == "__main__":
    typer.run(main)
