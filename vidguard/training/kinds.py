"""The head of a weight set that names kinds of manipulation: fitted on the frozen encoders, judged on validation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.progress import track as progress
from safetensors.torch import load_file
from torch import Tensor, nn

from vidguard.detector import Judge
from vidguard.errors import InputError
from vidguard.metrics.intervals import percentile_interval, resamples
from vidguard.training import checkpoint
from vidguard.training.material import Store
from vidguard.training.recipe import Draw, Recipe
from vidguard.training.samples import GENUINE, UNKNOWN_KIND, SampleStream, pools_of
from vidguard.types import KINDS_OF_MANIPULATION

_LEAST: Final = 10  # samples of a class without which it isn't told from the others
_BATCH: Final = 64
_RIDGE: Final = 0.3
"""Of the standardised features' weights, beside the mean loss. Of .1, .3, 1 and 3, on held-out training sources of
three encoders with 1,596 features and 2,169 samples: accuracy .53 .56 .56 .55."""
_SEED: Final = 100  # far from those of the encoders' rounds


@dataclass(frozen=True)
class Embedded:
    """Samples of known kind. features: (N, D) float32; classes: (N,) as `class_of`; sources: what mustn't be split."""

    features: NDArray[np.float32]
    classes: NDArray[np.int64]
    sources: tuple[str, ...]


def name_kinds(judge: Judge, recipe: Recipe, store: Store, kept: Path, *, inputs: Any) -> dict[str, Any]:
    """Fit judge.kinds in place as the recipe's table [kinds] says; gives the head's figures on the split val.

    Samples are drawn from the recipe's mixture, half of it pairs, degraded as often as the encoders' on average. kept:
    a file that holds the head from an earlier run, or will; inputs: what tells these encoders and crops from others,
    JSON-ready. Raises InputError where the material has too few kinds, or nothing to validate on.
    """
    assert recipe.kinds is not None
    shares = [part.degraded for part in recipe.encoders.values()] + [part.degraded for part in recipe.fitted.values()]
    degraded, seed, mixture = float(np.mean(shares)), recipe.seed + _SEED, half_pairs(recipe.mixture)
    drawn_from = [asdict(part) for part in mixture]
    made_from = checkpoint.digest(inputs, asdict(recipe.kinds), drawn_from, seed, degraded)
    if checkpoint.made_from(kept) != made_from:
        settings: dict[str, Any] = {"seed": seed, "degraded": degraded, "kinds": True}
        fitted_on = embed(judge, SampleStream(store, mixture, **settings), recipe.kinds.samples)
        head, chosen = fit_head(fitted_on)
        validation = SampleStream(store, _in_validation(store, mixture), **settings, split="val")
        shown = kind_figures(head, chosen, embed(judge, validation, recipe.kinds.samples // 2))
        about = {"chosen": chosen, "figures": {"fitted_on": len(fitted_on.classes), **shown}}
        checkpoint.save_tensors(kept, head.state_dict(), made_from, kinds=json.dumps(about))
    about = json.loads(checkpoint.metadata(kept)["kinds"])
    judge.kind_names = tuple(KINDS_OF_MANIPULATION[number - 1] for number in about["chosen"])
    tensors = load_file(kept)
    judge.kinds = nn.Linear(tensors["weight"].shape[1], len(tensors["weight"]))
    judge.kinds.load_state_dict(tensors)
    figures: dict[str, Any] = about["figures"]
    return figures


def embed(judge: Judge, stream: SampleStream, count: int) -> Embedded:
    """Draw so many samples and keep what the encoders make of those of known kind. Raises InputError for none."""
    features, classes, sources = [], [], []
    drawn = progress(islice(stream.drawn(), count), description="samples of kinds", total=count)
    known = (sample for sample in drawn if sample[2] != UNKNOWN_KIND)
    for batch in _batches(known):
        found = judge.encode(torch.stack([crop for crop, *_ in batch])).embeddings
        features.append(torch.cat([found[name] for name in judge.names], dim=-1).numpy())
        classes += [number for _, _, number, _ in batch]
        rows = [stream.store.rows[index] for *_, index in batch]
        sources += [f"{row.dataset}/{row.source}" for row in rows]
    if not features:
        raise InputError(f"none of {count} samples is genuine or of a known kind: no head for kinds can be fitted")
    return Embedded(np.concatenate(features), np.array(classes), tuple(sources))


def fit_head(samples: Embedded) -> tuple[nn.Linear, list[int]]:
    """Multinomial logistic regression, classes weighing the same; gives the head and the classes besides the genuine.

    Standardisation is folded into the layer. Raises InputError unless there are genuine faces and two kinds at least.
    """
    counts = np.bincount(samples.classes, minlength=1 + len(KINDS_OF_MANIPULATION))
    chosen = [number for number, count in enumerate(counts) if count >= _LEAST]
    if GENUINE not in chosen or len(chosen) < 3:
        found = ", ".join(f"{n} {name}" for name, n in zip(("genuine", *KINDS_OF_MANIPULATION), counts.tolist()))
        raise InputError(
            f"kinds of manipulation need {_LEAST} genuine samples and as many of two kinds; there are {found}: "
            "fill the manifest's column kind, draw more, or leave the recipe's table [kinds] out"
        )
    kept = np.isin(samples.classes, chosen)
    features = torch.from_numpy(samples.features[kept]).double()
    target = torch.from_numpy(np.searchsorted(chosen, samples.classes[kept]))
    mean = features.mean(0)
    # what moves on a few samples alone would be blown up by its small standard deviation
    spread = torch.maximum(features.std(0), 0.1 * (features - mean).abs().amax(0)).clamp(min=1e-6)
    weight, bias = _regress((features - mean) / spread, target, len(chosen))
    head = nn.Linear(features.shape[1], len(chosen))
    with torch.no_grad():
        head.weight.copy_(weight / spread)
        head.bias.copy_(bias - (weight / spread) @ mean)
    return head, chosen[1:]


def _regress(features: Tensor, target: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    weight = torch.zeros(num_classes, features.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(num_classes, dtype=torch.float64, requires_grad=True)
    balance = 1.0 / torch.bincount(target, minlength=num_classes).double()
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(features @ weight.T + bias, target, balance) + 0.5 * _RIDGE * (weight**2).sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


def kind_figures(head: nn.Linear, chosen: list[int], samples: Embedded) -> dict[str, Any]:
    """Confusion matrix (rows: the truth) and accuracy with its 95 % interval over sources, classes weighing the same.

    Classes that the head doesn't tell, and those without a sample, are left out of the accuracy.
    """
    classes = [GENUINE, *chosen]
    kept = np.isin(samples.classes, classes)
    truth = np.searchsorted(classes, samples.classes[kept])
    with torch.inference_mode():
        said = head(torch.from_numpy(samples.features[kept])).argmax(-1).numpy()
    confusion = _confusion(truth, said, len(classes))
    there = confusion.sum(1) > 0
    sources = [source for source, keep in zip(samples.sources, kept) if keep]
    low, high = percentile_interval(
        _mean_recall(_confusion(truth[i], said[i], len(classes)), there)
        for i in resamples(len(truth), sources, rounds=500, seed=0)
    )
    accuracy = _mean_recall(confusion, there)
    return {
        "classes": ["genuine", *(KINDS_OF_MANIPULATION[number - 1] for number in chosen)],
        "confusion": confusion.tolist(),
        "samples": len(truth),
        "sources": len(set(sources)),
        "accuracy": round(accuracy, 4),
        "accuracy_95": None if np.isnan(low) else [round(low, 4), round(high, 4)],
    }


def _confusion(truth: NDArray[np.int64], said: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    return np.bincount(truth * size + said, minlength=size * size).reshape(size, size)


def _mean_recall(confusion: NDArray[np.int64], there: NDArray[np.bool_]) -> float:
    """NaN where a class that should be there isn't, as in some resamples."""
    totals = confusion.sum(1)[there]
    return float((np.diag(confusion)[there] / totals).mean()) if totals.all() and len(totals) else float("nan")


def half_pairs(mixture: tuple[Draw, ...]) -> tuple[Draw, ...]:
    """The same parts, pairs as often as all others together: expressions are forged only, and would be too few."""
    pairs = sum(part.weight for part in mixture if part.draw == "pairs")
    others = sum(part.weight for part in mixture) - pairs
    if not pairs or not others:
        return mixture
    return tuple(replace(p, weight=p.weight * others / pairs) if p.draw == "pairs" else p for p in mixture)


def _in_validation(store: Store, mixture: tuple[Draw, ...]) -> tuple[Draw, ...]:
    """The parts that can be drawn from the split val too."""
    pools = [pools_of(store, part, "val") for part in mixture]
    found = [part for part, (real, fake) in zip(mixture, pools) if len(real) and (len(fake) or part.draw == "pairs")]
    if not found:
        raise InputError("the split val has no data set of the mixture: no kinds of manipulation can be validated")
    return tuple(found)


def _batches(samples: Iterator[tuple[Tensor, float, int, int]]) -> Iterator[list[tuple[Tensor, float, int, int]]]:
    while batch := list(islice(samples, _BATCH)):
        yield batch
