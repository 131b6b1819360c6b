"""The MesoNet authors' weight files on the validation images of their own data set, fed as their code feeds them.

    python benchmarks/accuracy/published.py --material INDEX.csv --published DIR --out RESULT.json

Whole images go in, no face is looked for. A row is one network and one way to resize: "nearest" is what the authors'
loader (Keras' ImageDataGenerator, default settings) does, "antialiased" what vidguard does with a crop. The manifest's
images are a random part of the authors' validation split, as many real as fake: its figures differ from theirs by
chance, and accuracy by the share of fakes too, which is why it is also given at theirs.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import typer
from measured import measured
from PIL import Image
from rich.progress import track
from surroundings import environment
from torch import Tensor

from vidguard.encoders import prepare_crops
from vidguard.files import write_whole
from vidguard.metrics import Statistic, accuracy, auc
from vidguard.published import read_encoder

FILES: Final = {
    "Meso4_DF": "meso4",
    "Meso4_F2F": "meso4",
    "MesoInception_DF": "mesoinception4",
    "MesoInception_F2F": "mesoinception4",
}
# the authors' code with their files on all 7,104 validation images; they give the files for Face2Face no such figure
REFERENCE: Final = {
    "Meso4_DF": {"images": 7104, "accuracy": 0.8758, "auc": 0.9693},
    "MesoInception_DF": {"images": 7104, "accuracy": 0.8856, "auc": 0.9773},
}
REFERENCE_FAKES: Final = 1 - 4259 / 7104
"""The share of fakes there, by the authors' count of real images: accuracy only compares at the same share."""
SIZE: Final = 256


def main(
    material: Annotated[Path, typer.Option(help="Manifest; paths are relative to it.")],
    published: Annotated[Path, typer.Option(help="Folder with the authors' four .h5 files.")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
) -> None:
    """Score every validation image with every network and write accuracy and AUC."""
    with material.open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["dataset"] == "mesonet" and r["split"] == "val"]
    is_fake = np.array([row["label"] == "fake" for row in rows])
    networks = {name: read_encoder(published / f"{name}.h5", kind).eval() for name, kind in FILES.items()}
    logits: dict[tuple[str, str], list[float]] = {(name, way): [] for name in networks for way in RESIZE}
    with torch.inference_mode():
        for row in track(rows, "images"):
            image = Image.open(material.parent / row["path"]).convert("RGB")
            for way, resize in RESIZE.items():
                crop = resize(image)
                for name, network in networks.items():
                    logits[name, way].append(float(network(crop).fake_logit))
    result = {
        "what": "the MesoNet authors' networks, imported, on whole validation images of MesoNet's data set, "
        "no cropping",
        "images": {"real": int((~is_fake).sum()), "fake": int(is_fake.sum())},
        "threshold": 0.5,
        "intervals": "95 % percentile bootstrap over images; the set names no sources, so they are too narrow",
        "reference": {"what": "the authors' code and files, all of their validation images", "figures": REFERENCE},
        "environment": environment("torch", "numpy", "h5py"),
        "figures": {name: {way: figures(is_fake, logits[name, way]) for way in RESIZE} for name in networks},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, (json.dumps(result, indent=1) + "\n").encode())
    typer.echo(json.dumps(result["figures"], indent=1))


def nearest(image: Image.Image) -> Tensor:
    """The authors' loader: the whole image to 256 x 256, nearest neighbour, divided by 255."""
    return _pixels(image.resize((SIZE, SIZE), Image.Resampling.NEAREST)).float() / 255


def antialiased(image: Image.Image) -> Tensor:
    """The whole image through `prepare_crops`, as if it were a face crop of vidguard's."""
    return prepare_crops(_pixels(image), SIZE)


def _pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]


RESIZE: Final[dict[str, Callable[[Image.Image], Tensor]]] = {"nearest": nearest, "antialiased": antialiased}


def figures(is_fake: np.ndarray, logits: Sequence[float]) -> dict[str, Any]:
    """Accuracy at P(fake) = 0.5 and AUC, with intervals."""
    values = np.array(logits)
    images = [str(i) for i in range(len(values))]
    result: dict[str, Any] = {
        "right_real": round(float((values[~is_fake] < 0).mean()), 4),
        "right_fake": round(float((values[is_fake] >= 0).mean()), 4),
    }
    statistics: dict[str, Statistic] = {
        "accuracy": partial(accuracy, threshold=0.0),
        "accuracy_at_reference_share": _reweighted,
        "auc": auc,
    }
    for name, statistic in statistics.items():
        result |= measured(name, statistic, is_fake, values, images, rounds=1000)
    return result


def _reweighted(is_fake: np.ndarray, logits: np.ndarray) -> float:
    """What the accuracy would be with the reference's share of fakes."""
    real, fake = (logits[~is_fake] < 0).mean(), (logits[is_fake] >= 0).mean()
    return float((1 - REFERENCE_FAKES) * real + REFERENCE_FAKES * fake)


if __name__ == "__main__":
    typer.run(main)
