"""Training one frame encoder."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from vidguard.encoders import ENCODERS, Encoder, StagedEncoder, prepare_crops
from vidguard.metrics import auc
from vidguard.processes import end_with_parent
from vidguard.training.batches import Batch, Batches, position_of
from vidguard.training.checkpoint import (
    Resumable,
    Say,
    continued,
    final_digest,
    is_made,
    load_model,
    made_from,
    round_digest,
    save_tensors,
)
from vidguard.training.curve import Curve, bar
from vidguard.training.material import Store
from vidguard.training.pretrained import load_pretrained
from vidguard.training.recipe import EncoderRecipe, Recipe
from vidguard.training.samples import UNKNOWN_KIND, SampleStream
from vidguard.types import KINDS_OF_MANIPULATION

RESUME_STEPS: Final = 200  # what a stop costs at most: about five minutes of the largest encoder on two cores
_LOG_STEPS: Final = 50
_SETTLING: Final = 1088  # samples over which mixed weights' batch norms are estimated
_KINDS: Final = "kinds"  # name of the head for kinds of manipulation while an encoder is trained


def train_encoder(name: str, recipe: Recipe, store: Store, work: Path, *, say: Say, workers: int = 2) -> None:
    """Train one encoder by its recipe into work/<name>.safetensors, on a GPU where there is one.

    Finished rounds lie beside it as <name>.roundN.safetensors and aren't run again; a stopped round goes on from
    <name>.partial.safetensors. Raises InputError when one of these was trained by another recipe or on other crops.
    """
    rounds = range(len(recipe.encoders[name].rounds))
    digests = [round_digest(recipe, name, number, store.made_from) for number in rounds]
    final = work / f"{name}.safetensors"
    wanted, share = final_digest(recipe, name, store.made_from), recipe.encoders[name].last_round_share
    if made_from(final) == wanted:
        say(f"{name}: trained already, {final} is there")
        return
    torch.manual_seed(recipe.seed)
    model = ENCODERS[name]()
    ran = False
    for number, trained_from in enumerate(digests):
        finished, partial = work / f"{name}.round{number}.safetensors", work / f"{name}.partial.safetensors"
        if not is_made(finished, trained_from, say):
            say(f"{name}: round {number}")
            save_tensors(finished, _run_round(model, name, number, recipe, store, partial, workers), trained_from)
            ran = True
        if made_from(partial) == trained_from:
            partial.unlink()
        load_model(model, finished)
    if not ran and final.is_file() and made_from(final) is None:
        say(f"{name}: trained already, {final} is there and doesn't say what it was trained from; taken as it is")
        return
    model = model.cpu()
    if share is not None:
        before = load_file(work / f"{name}.round{len(digests) - 2}.safetensors") if len(digests) > 1 else None
        _mix(model, continued(recipe, f"encoders.{name}.") if before is None else before, share)
        if recipe.continues is not None:
            _settle(model, _samples(recipe, name, len(digests), store, done=0, workers=workers), recipe.encoders[name])
    _validate(name, model.eval(), store, say)
    save_tensors(final, model.state_dict(), wanted)


def _mix(model: Encoder, before: dict[str, Tensor], share: float) -> None:
    """Move a model back towards an earlier round's weights: `share` of its own is left. In place."""
    now = model.state_dict()
    for name, earlier in before.items():
        if earlier.is_floating_point():
            now[name].lerp_(earlier, 1 - share)


def _settle(model: Encoder, samples: Iterator[Batch], settings: EncoderRecipe) -> None:
    """Take batch norms' statistics anew over what mixed weights make of a few samples. In place.

    A mean of two networks' statistics isn't that of the mean network: anew, of 1,088 samples, .85 of base-v2's last
    round has an AUC of .760 on clips of unseen generators, where it had .689, and .971 for .965 on MesoNet.
    """
    model.train()
    if isinstance(model, StagedEncoder) and settings.frozen_blocks:
        model.freeze(settings.frozen_blocks)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d) and part.training:
            part.reset_running_stats()
            part.momentum = None  # a plain mean over the batches
    with torch.inference_mode():
        for _ in range(_SETTLING // settings.batch):
            crops = prepare_crops(next(samples)[0], model.input_size)
            model(crops.contiguous(memory_format=torch.channels_last))


def _run_round(
    model: Encoder, name: str, number: int, recipe: Recipe, store: Store, partial: Path, workers: int
) -> dict[str, Tensor]:
    """One schedule on the best device at hand; gives the averaged weights.

    An encoder that learns kinds has a head for them meanwhile, which teaches its embedding and is then dropped: the
    set's own is fitted on all of its encoders.
    """
    torch.manual_seed(recipe.seed + 1 + number)  # so that it makes no difference where the rounds before were run
    settings = recipe.encoders[name]
    steps, rate = settings.rounds[number].steps, settings.rounds[number].learning_rate
    if number == 0 and settings.pretrained is not None:
        load_pretrained(model, settings.pretrained)
    if number == 0 and recipe.continues is not None:
        model.load_state_dict(continued(recipe, f"encoders.{name}."))
    if settings.kinds:
        model.add_module(_KINDS, nn.Linear(model.embedding_dim, 1 + len(KINDS_OF_MANIPULATION)))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device).to(memory_format=torch.channels_last).train()
    if isinstance(model, StagedEncoder) and settings.frozen_blocks:
        model.freeze(settings.frozen_blocks)
    average = AveragedModel(
        model,
        multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay),  # type: ignore[no-untyped-call]
        use_buffers=True,
    )
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=settings.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.15)
    trained_from = round_digest(recipe, name, number, store.made_from)
    resumable = Resumable(partial, model, average, optimizer, trained_from)
    done = resumable.load(schedule)
    samples = _samples(recipe, name, number, store, resumable, done=done, workers=workers)
    resumable.restore_random()  # after the workers were started, which draws a number as well
    if isinstance(model, StagedEncoder) and settings.bank is not None:
        samples = banked(model, samples, settings.frozen_blocks, settings.bank)
    before = sum(part.steps for part in settings.rounds[:number])
    losses: list[float] = []
    with (
        _without_denormals(),
        closing(Curve(partial.parent, name, number, done=done, before=before)) as curve,
        bar(f"{name}, round {number}", done=done, total=steps) as shown,
    ):
        for step in range(done + 1, steps + 1):
            crops, labels, kinds, position = next(samples)
            resumable.positions.append(position)
            frozen = settings.frozen_blocks > 0
            inputs = crops.to(device) if frozen else prepare_crops(crops.to(device), model.input_size)
            rate = optimizer.param_groups[0]["lr"]
            losses.append(_step(model, inputs, labels.float().to(device), kinds.to(device), optimizer, settings))
            schedule.step()
            average.update_parameters(model)
            shown.update(step, losses[-1])
            if step % _LOG_STEPS == 0 or step == steps:
                curve.add(step, float(np.mean(losses)), rate)
                losses.clear()
            if step % RESUME_STEPS == 0 and step < steps:
                resumable.save(step)
    if settings.kinds:
        delattr(model, _KINDS)
    return {k: v for k, v in average.module.state_dict().items() if not k.startswith(f"{_KINDS}.")}


def banked(model: StagedEncoder, batches: Iterator[Batch], blocks: int, count: int) -> Iterator[Batch]:
    """Endless batches out of `count` samples drawn once: what the first blocks make of the crops, labels, classes.

    Features are kept in half precision on the CPU, 16 KB a sample after eight blocks. A round that was stopped draws
    others when it goes on.
    """
    kept: list[Batch] = []
    device = next(model.parameters()).device
    with torch.inference_mode(), bar("samples", done=0, total=count) as shown:
        while sum(len(labels) for _, labels, _, _ in kept) < count:
            crops, labels, kinds, position = next(batches)
            inputs = prepare_crops(crops.to(device), model.input_size)
            features = model.lower(inputs.contiguous(memory_format=torch.channels_last), blocks)
            kept.append((features.half().cpu(), labels, kinds, position))
            shown.update(min(sum(len(part[1]) for part in kept), count), 0.0)
    size, drawn_to = len(kept[0][1]), kept[-1][3]
    features = torch.cat([part[0] for part in kept])[:count].clone()
    labels = torch.cat([part[1] for part in kept])[:count].clone()
    kinds = torch.cat([part[2] for part in kept])[:count].clone()
    while True:
        for chosen in torch.split(torch.randperm(len(labels)), size):
            yield features[chosen].float(), labels[chosen], kinds[chosen], drawn_to


def _samples(
    recipe: Recipe,
    name: str,
    number: int,
    store: Store,
    resumable: Resumable | None = None,
    *,
    done: int,
    workers: int,
) -> Iterator[Batch]:
    """Endless batches. A round that goes on draws what it would have drawn had it not stopped.

    With another number of workers than before, it draws others than those it was trained on.
    """
    settings, streams = recipe.encoders[name], max(1, workers)
    positions = [] if resumable is None else [*resumable.positions]
    exact = len(positions) == streams
    stream = SampleStream(
        store,
        recipe.mixture_of(name),
        seed=recipe.seed + number + (0 if exact else done << 32),
        degraded=settings.degraded,
        kinds=settings.kinds,
    )
    stream.require_material()
    if not exact:
        positions = [position_of(stream.generator(worker).bit_generator.state) for worker in range(streams)]
    if resumable is not None:
        resumable.positions = deque(positions, maxlen=streams)
    loader = DataLoader(
        Batches(stream, settings.batch, positions),
        batch_size=None,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=_start_worker,
    )
    threads = cv2.getNumThreads()
    # before the workers are forked: to end OpenCV's threads, a worker would wait for ever for those it didn't inherit
    cv2.setNumThreads(1)
    try:
        return iter(loader)
    finally:
        cv2.setNumThreads(threads)


def _start_worker(_: int) -> None:
    end_with_parent()


@contextmanager
def _without_denormals() -> Iterator[None]:
    torch.set_flush_denormal(True)  # squared gradients of a pretrained net underflow; CPUs then crawl
    try:
        yield
    finally:
        torch.set_flush_denormal(False)  # it is a state of the whole thread, not of this training


def _validate(name: str, model: Encoder, store: Store, say: Say) -> None:
    for dataset in store.labelled(split="val"):
        index = store.where(split="val", datasets=[dataset])
        scores = encode(model, store.crops, index)[1]
        truth = np.array([store.rows[i].is_fake for i in index])
        say(f"{name}: validation {dataset} frame AUC {auc(truth, scores):.4f} over {len(index)} crops")


def load_trained(name: str, folder: Path) -> Encoder:
    """Read an encoder that `train_encoder` saved."""
    model = ENCODERS[name]()
    load_model(model, folder / f"{name}.safetensors")
    return model.eval()


def _step(
    model: Encoder,
    inputs: Tensor,
    labels: Tensor,
    kinds: Tensor,
    optimizer: torch.optim.Optimizer,
    settings: EncoderRecipe,
) -> float:
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=settings.bfloat16):
        if isinstance(model, StagedEncoder) and settings.frozen_blocks:
            output = model.upper(inputs, settings.frozen_blocks)
        else:
            output = model(inputs)
        kind_logits = model.get_submodule(_KINDS)(output.embedding) if settings.kinds else None
    # a little smoothing: published labels are wrong for a few per cent (a swap of which no frame shows a trace)
    loss = F.binary_cross_entropy_with_logits(output.fake_logit.float(), labels * 0.94 + 0.03)
    if kind_logits is not None:
        loss = loss + kind_loss(kind_logits.float(), kinds)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    return float(loss.detach())


def kind_loss(logits: Tensor, kinds: Tensor) -> Tensor:
    """Mean cross-entropy of (N, 5) logits of the genuine and each kind; those of unknown kind count nowhere.

    0 where all are unknown.
    """
    total = F.cross_entropy(logits, kinds, ignore_index=UNKNOWN_KIND, reduction="sum")
    return total / (kinds != UNKNOWN_KIND).sum().clamp(min=1)


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
