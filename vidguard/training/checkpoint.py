"""Tensor files of a training: whole or not there, and tied by a digest to the part of the recipe that made them."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from vidguard.errors import InputError
from vidguard.files import write_whole
from vidguard.training.recipe import Recipe, settings_of
from vidguard.weights import find_weights, read_tensors

Say = Callable[[str], None]
"""Takes one line for the user and the logs."""

_KEY: Final = "trained_from"
_MOMENTS: Final = ("exp_avg", "exp_avg_sq")


def digest(*parts: Any) -> str:
    """Sha256 of values that JSON can hold, the same whatever the order of their keys."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def round_digest(recipe: Recipe, name: str, number: int, store: str | None) -> str:
    """Digest of what decides an encoder's round: its settings, the mixture, the seed, the rounds up to it, the crops.

    store: what the store of crops was made from; None where it doesn't say, which leaves the digest to the recipe.
    """
    settings = settings_of(recipe.encoders[name])
    del settings["last_round_share"]
    settings["rounds"] = settings["rounds"][: number + 1]
    settings["mixture"] = [asdict(part) for part in recipe.mixture_of(name)]
    if recipe.continues is not None:
        settings["continues"] = find_weights(recipe.continues).sha256
    return digest(name, recipe.seed, settings, *([] if store is None else [store]))


def final_digest(recipe: Recipe, name: str, store: str | None) -> str:
    """Digest of what decides an encoder as it is used: its last round's, and how that is mixed with the one before.

    Of a fitted one: its settings, the mixture, the seed and the crops.
    """
    if name in recipe.fitted:
        drawn = [asdict(part) for part in recipe.mixture_of(name)]
        return digest(name, recipe.seed, asdict(recipe.fitted[name]), drawn, *([] if store is None else [store]))
    last = round_digest(recipe, name, len(recipe.encoders[name].rounds) - 1, store)
    share = recipe.encoders[name].last_round_share
    return last if share is None else digest(last, share)


def save_tensors(path: Path, tensors: dict[str, Tensor], trained_from: str, **more: str) -> None:
    """Write tensors with the digest of what made them; the file is there whole or not at all."""
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_whole(path, save(whole, {_KEY: trained_from, **more}))


def is_made(path: Path, trained_from: str, say: Say) -> bool:
    """Whether a file is there and may be used: it has this digest, or none because it is from before there were any.

    Raises InputError when it was made from something else, or is damaged.
    """
    if not path.is_file():
        return False
    found = made_from(path)
    if found is None:
        say(f"{path.name} doesn't say what it was trained from; taken as it is")
    elif found != trained_from:
        raise InputError(
            f"{path} was trained by another recipe (other settings, mixture or seed) or on other crops; "
            "delete it and the later rounds to train them again, or use another --work"
        )
    return True


def made_from(path: Path) -> str | None:
    """The digest in a tensor file; None when there is no file or none in it."""
    return metadata(path).get(_KEY) if path.is_file() else None


def metadata(path: Path) -> dict[str, str]:
    """A tensor file's metadata. Raises InputError when it isn't a safetensors file."""
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise InputError(f"{path} is damaged ({error}); delete it to make it again") from error


def load_model(model: nn.Module, path: Path) -> None:
    """Fill a network from a file. Raises InputError when it doesn't fit."""
    try:
        model.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise InputError(f"{path} doesn't fit this version's {type(model).__name__}; delete it: {error}") from error


def continued(recipe: Recipe, prefix: str) -> dict[str, Tensor]:
    """Tensors below a prefix of the weight set that a recipe continues, in float32; prefix: such as "temporal."."""
    assert recipe.continues is not None
    tensors = _part(read_tensors(find_weights(recipe.continues)), prefix)
    return {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}


class Resumable:
    """The whole state of a round in one file, so that a stopped round goes on where it last was saved.

    Model, averaged model and AdamW's moments; the schedule and AdamW's own count follow from the step. What samples and
    dropout are drawn by is kept as well: on a CPU, a round that was stopped ends bit for bit as one that wasn't.
    """

    def __init__(
        self, path: Path, model: nn.Module, average: AveragedModel, optimizer: torch.optim.AdamW, trained_from: str
    ) -> None:
        self.path, self.trained_from = path, trained_from
        self.model, self.average, self.optimizer = model, average, optimizer
        self.positions: deque[str] = deque()
        """Where the stream of samples goes on, by the worker whose turn it is; the owner keeps it up to date."""
        self._random: dict[str, Tensor] = {}

    def save(self, step: int) -> None:
        """Write the state after `step` steps."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            state = self.optimizer.state[parameter]
            tensors |= {f"{moment}.{name}": state[moment] for moment in _MOMENTS if moment in state}
        tensors |= {f"random.{device}": state for device, state in _random_states().items()}
        save_tensors(self.path, tensors, self.trained_from, step=str(step), positions=json.dumps(list(self.positions)))

    def load(self, schedule: torch.optim.lr_scheduler.LRScheduler) -> int:
        """Take up the state and set the schedule to it; gives the steps done, 0 when there is nothing to take up.

        Raises InputError when the file was written by another recipe or doesn't fit.
        """
        if not is_made(self.path, self.trained_from, lambda _: None):
            return 0
        try:
            about, tensors = metadata(self.path), load_file(self.path)
            step, positions = int(about["step"]), json.loads(about.get("positions", "[]"))
            self.model.load_state_dict(_part(tensors, "model."))
            self.average.load_state_dict(_part(tensors, "average."))
            self._load_moments(tensors, step)
            self.positions, self._random = deque(positions), _part(tensors, "random.")
        except (KeyError, ValueError, RuntimeError, SafetensorError) as error:
            raise InputError(f"{self.path} doesn't fit; delete it to begin the round again: {error}") from error
        schedule.load_state_dict({"last_epoch": step - 1, "_step_count": step})
        schedule.step()  # a schedule sets the optimizer's rate only when it steps
        return step

    def restore_random(self) -> None:
        """Have torch draw on from where the state was saved; nothing happens where none was taken up."""
        for device, state in self._random.items():
            if device == "cpu":
                torch.set_rng_state(state)
            elif torch.cuda.is_available():
                torch.cuda.set_rng_state(state)

    def _load_moments(self, tensors: dict[str, Tensor], step: int) -> None:
        state = {}
        for index, (name, parameter) in enumerate(self.model.named_parameters()):
            if f"{_MOMENTS[0]}.{name}" in tensors:
                # laid out like the parameter: the fused AdamW walks both in the order of memory
                moments = {m: torch.empty_like(parameter).copy_(tensors[f"{m}.{name}"]).detach() for m in _MOMENTS}
                state[index] = {"step": torch.tensor(float(step)), **moments}
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})


def _random_states() -> dict[str, Tensor]:
    on_gpu = {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {}
    return {"cpu": torch.get_rng_state(), **on_gpu}


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
