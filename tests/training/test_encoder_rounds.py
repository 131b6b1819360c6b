"""Rounds of an encoder: trained once, tied to their recipe, and gone on with where they were stopped."""

from __future__ import annotations

import csv
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from disk import full_disk
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small import NAME, small_recipe, small_store

from vidguard.errors import InputError
from vidguard.training import frames
from vidguard.training.batches import Batch
from vidguard.training.checkpoint import Resumable, digest, final_digest, is_made, round_digest
from vidguard.training.frames import load_trained, train_encoder
from vidguard.training.recipe import Draw, Recipe, Round

TWO = (Round(2, 1e-3), Round(1, 1e-4))


def run(recipe: Recipe, work: Path, *, workers: int = 0) -> list[str]:
    """Train and give what was said."""
    said: list[str] = []
    train_encoder(NAME, recipe, small_store(), work, say=said.append, workers=workers)
    return said


def strip(path: Path) -> None:
    """Make a tensor file as it was before there was a digest in it."""
    save_file(load_file(path), path)


def test_workers_start_though_opencv_has_threads(tmp_path: Path) -> None:
    # in a process of its own: what this guards against is waiting for ever
    script = """
import cv2, sys
from pathlib import Path
import numpy as np
from small import NAME, small_recipe, small_store
from vidguard.training.frames import train_encoder
from vidguard.training.recipe import Round
cv2.setNumThreads(4)
cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.float32), (0, 0), 3)
train_encoder(NAME, small_recipe(Round(2, 1e-3)), small_store(), Path(sys.argv[1]), say=print, workers=1)
assert cv2.getNumThreads() == 4
"""
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, env=where, timeout=240, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("bfloat16", [False, True])
def test_an_encoder_trains_saves_and_loads(tmp_path: Path, bfloat16: bool) -> None:
    said = run(small_recipe(*TWO, bfloat16=bfloat16), tmp_path)
    loaded = load_trained(NAME, tmp_path).state_dict()
    last = load_file(tmp_path / f"{NAME}.round1.safetensors")
    assert all(torch.equal(loaded[key], value) for key, value in last.items())
    told = [f"{NAME}: validation {dataset} frame" for dataset in ("dfdc", "mesonet")]
    assert [line.split(" AUC")[0] for line in said[-2:]] == told
    rows = list(csv.DictReader((tmp_path / f"{NAME}.csv").open()))
    assert [(row["round"], row["step"]) for row in rows] == [("0", "2"), ("1", "1")]
    assert 0 < float(rows[0]["learning_rate"]) <= 1e-3
    assert all(float(row["loss"]) > 0 and float(row["seconds"]) > 0 for row in rows)
    assert not list(tmp_path.glob("*.partial*"))


@pytest.mark.cuda
def test_an_encoder_trains_on_a_gpu_in_bfloat16(tmp_path: Path) -> None:
    run(small_recipe(*TWO, bfloat16=True), tmp_path)
    assert all(torch.isfinite(v).all() for v in load_trained(NAME, tmp_path).state_dict().values())


def test_what_is_trained_is_not_trained_again_unless_the_recipe_changed(tmp_path: Path, monkeypatch) -> None:
    recipe = small_recipe(*TWO)
    run(recipe, tmp_path)
    kept = (tmp_path / f"{NAME}.round0.safetensors").read_bytes()
    trained: list[int] = []
    real = frames._run_round

    def counted(model, name, number, *more):
        trained.append(number)
        return real(model, name, number, *more)

    monkeypatch.setattr(frames, "_run_round", counted)
    assert "trained already" in run(recipe, tmp_path)[-1]
    run(small_recipe(*TWO, Round(1, 1e-5)), tmp_path)  # one more round: the first two stand
    assert trained == [2]
    assert (tmp_path / f"{NAME}.round0.safetensors").read_bytes() == kept
    others = small_recipe(Round(3, 1e-3), TWO[1]), small_recipe(*TWO, datasets=("mesonet",))
    for changed in (replace(recipe, seed=1), *others):
        with pytest.raises(InputError, match=rf"{NAME}.round0.safetensors was trained by another recipe.*--work"):
            run(changed, tmp_path)
    with pytest.raises(InputError, match="round1"):
        run(small_recipe(TWO[0], Round(1, 3e-4)), tmp_path)
    assert trained == [2]


def test_the_last_two_rounds_can_be_averaged_without_training_them_again(tmp_path: Path) -> None:
    alone = small_recipe(*TWO)
    run(alone, tmp_path)
    settings = replace(alone.encoders[NAME], last_round_share=0.7)
    run(replace(alone, encoders={NAME: settings}), tmp_path)
    mixed = load_trained(NAME, tmp_path).state_dict()
    rounds = [load_file(tmp_path / f"{NAME}.round{number}.safetensors") for number in (0, 1)]
    for key, value in mixed.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.3 * rounds[0][key] + 0.7 * rounds[1][key])
        else:
            assert torch.equal(value, rounds[1][key])
    with pytest.raises(InputError, match="another recipe"):
        is_made(tmp_path / f"{NAME}.safetensors", final_digest(alone, NAME, None), print)
    with pytest.raises(ValueError, match="needs two rounds"):
        replace(alone, encoders={NAME: replace(settings, rounds=TWO[:1])})


def test_files_from_before_digests_are_taken_and_it_is_said(tmp_path: Path) -> None:
    recipe = small_recipe(*TWO)
    run(recipe, tmp_path)
    for path in tmp_path.glob("*.safetensors"):
        strip(path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.safetensors")}
    said = run(recipe, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.safetensors")} == before
    assert len([line for line in said if "taken as it is" in line]) == 3
    (tmp_path / f"{NAME}.safetensors").unlink()
    run(recipe, tmp_path)
    with safe_open(tmp_path / f"{NAME}.safetensors", "pt") as file:
        assert len(file.metadata()["trained_from"]) == 64


def test_an_encoder_of_another_store_is_refused_and_an_old_store_leaves_the_digest_to_the_recipe(
    tmp_path: Path,
) -> None:
    recipe, store = small_recipe(Round(1, 1e-3)), small_store()
    for made_from, changed in ((None, "one"), ("one", "two")):
        work = tmp_path / changed
        work.mkdir()
        train_encoder(NAME, recipe, replace(store, made_from=made_from), work, say=lambda _: None, workers=0)
        with pytest.raises(InputError, match="or on other crops"):
            train_encoder(NAME, recipe, replace(store, made_from=changed), work, say=lambda _: None, workers=0)
    digests = [round_digest(recipe, NAME, 0, made_from) for made_from in (None, "one", "two")]
    settings = {**asdict(recipe.encoders[NAME]), "mixture": [asdict(part) for part in recipe.mixture]}
    for left_out in ("last_round_share", "kinds", "frozen_blocks", "bank"):
        del settings[left_out]  # the first changes no round, the others aren't used
    assert digests[0] == digest(NAME, recipe.seed, settings)
    assert len(set(digests)) == 3


REAL_SAMPLES = frames._samples


class Stopped(Exception):
    """Stands for a machine that went away."""


def repeatable(monkeypatch, *, stop_after: int | None = None, drawn: list[int] | None = None) -> None:
    """Saves every other step, and stops after so many."""

    def samples(*args: Any, done: int, **more: Any) -> Iterator[Batch]:
        return until(REAL_SAMPLES(*args, done=done, **more), done)

    def until(batches: Iterator[Batch], done: int) -> Iterator[Batch]:
        for step, batch in enumerate(batches, start=done):
            if step == stop_after:
                raise Stopped
            if drawn is not None:
                drawn.append(step)
            yield batch

    monkeypatch.setattr(frames, "_samples", samples)
    monkeypatch.setattr(frames, "RESUME_STEPS", 2)
    monkeypatch.setattr(frames, "_LOG_STEPS", 1)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stopped_round_ends_bit_for_bit_like_one_never_stopped(tmp_path: Path, monkeypatch, workers: int) -> None:
    recipe = small_recipe(Round(1, 1e-3), Round(5, 1e-3))
    # three at a time: batches end in the middle of pairs
    quick = replace(recipe.encoders[NAME], batch=3, kinds=True)
    mixture = (*recipe.mixture, Draw("pairs", ("talkinghead",), 1.0))
    recipe = replace(recipe, encoders={NAME: quick}, mixture=mixture)
    (tmp_path / "whole").mkdir()
    (tmp_path / "stopped").mkdir()
    repeatable(monkeypatch)
    run(recipe, tmp_path / "whole", workers=workers)
    repeatable(monkeypatch, stop_after=3)
    with pytest.raises(Stopped):
        run(recipe, tmp_path / "stopped", workers=workers)
    assert (tmp_path / "stopped" / f"{NAME}.partial.safetensors").is_file()
    drawn: list[int] = []
    repeatable(monkeypatch, drawn=drawn)
    torch.rand(7)  # another process has drawn otherwise
    run(recipe, tmp_path / "stopped", workers=workers)
    assert drawn == [2, 3, 4]  # from the last save on, and of the second round alone
    assert not list(tmp_path.rglob("*.partial*"))
    found, wanted = (load_file(tmp_path / f / f"{NAME}.safetensors") for f in ("stopped", "whole"))
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    for column in ("round", "step", "loss", "learning_rate"):
        tables = [list(csv.DictReader((tmp_path / f / f"{NAME}.csv").open())) for f in ("stopped", "whole")]
        assert [row[column] for row in tables[0]] == [row[column] for row in tables[1]]


KILLED = """
import itertools, sys, time
from pathlib import Path
import torch
from test_encoder_rounds import NAME, SURVIVOR, small_store
from vidguard.training import frames

torch.set_num_threads(int(sys.argv[2]))  # sums are in another order with others
frames.RESUME_STEPS, step, steps = 2, frames._step, itertools.count(1)

def until_the_third(*given):
    if next(steps) > 3:
        time.sleep(600)  # after a checkpoint, and before the next one: killed here
    return step(*given)

frames._step = until_the_third
frames.train_encoder(NAME, SURVIVOR, small_store(), Path(sys.argv[1]), say=print, workers=0)
"""
SURVIVOR = small_recipe(Round(8, 1e-3))


def require_equal(stopped: Path, whole: Path) -> None:
    found, wanted = (load_file(folder / f"{NAME}.safetensors") for folder in (stopped, whole))
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


@pytest.mark.skipif(os.name == "nt", reason="kills as POSIX does")
def test_a_killed_training_goes_on_from_a_whole_checkpoint(tmp_path: Path, monkeypatch) -> None:
    repeatable(monkeypatch)
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    partial = tmp_path / "killed" / f"{NAME}.partial.safetensors"
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, tmp_path / "killed", str(torch.get_num_threads())]
    process = subprocess.Popen(command, env=where)
    ends = time.monotonic() + 600
    while not partial.exists() and process.poll() is None and time.monotonic() < ends:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert partial.exists()
    run(SURVIVOR, tmp_path / "whole")
    run(SURVIVOR, tmp_path / "killed")
    require_equal(tmp_path / "killed", tmp_path / "whole")


def test_a_full_disk_leaves_the_last_checkpoint_whole(tmp_path: Path, monkeypatch) -> None:
    repeatable(monkeypatch)
    for name in ("whole", "full"):
        (tmp_path / name).mkdir()
    run(SURVIVOR, tmp_path / "whole")
    save = Resumable.save

    def on_a_full_disk(resumable: Resumable, step: int) -> None:
        with full_disk(10_000) if step == 4 else nullcontext():
            save(resumable, step)

    monkeypatch.setattr(Resumable, "save", on_a_full_disk)
    with pytest.raises(OSError, match="too large"):
        run(SURVIVOR, tmp_path / "full")
    with safe_open(tmp_path / "full" / f"{NAME}.partial.safetensors", "pt") as file:
        assert file.metadata()["step"] == "2"
    monkeypatch.setattr(Resumable, "save", save)
    run(SURVIVOR, tmp_path / "full")
    require_equal(tmp_path / "full", tmp_path / "whole")


def test_a_round_that_goes_on_with_other_workers_draws_other_samples_than_it_began_with() -> None:
    recipe, store = small_recipe(*TWO), small_store()
    batches = []
    for done in (0, 200, 400):
        of_two_workers = SimpleNamespace(positions=["", ""])
        batches.append(next(REAL_SAMPLES(recipe, NAME, 0, store, of_two_workers, done=done, workers=0))[0])
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(batches, 2))


def test_a_half_trained_round_of_another_recipe_is_refused_and_damage_told(tmp_path: Path, monkeypatch) -> None:
    repeatable(monkeypatch, stop_after=3)
    recipe = small_recipe(Round(5, 1e-3))
    with pytest.raises(Stopped):
        run(recipe, tmp_path)
    with pytest.raises(InputError, match=r"partial\.safetensors was trained by another recipe"):
        run(small_recipe(Round(5, 2e-3)), tmp_path)
    (tmp_path / f"{NAME}.partial.safetensors").write_bytes(b"half a file")
    with pytest.raises(InputError, match=r"partial\.safetensors is damaged .* delete it"):
        run(recipe, tmp_path)


def test_what_a_finished_round_left_behind_does_not_stop_the_next(tmp_path: Path, monkeypatch) -> None:
    repeatable(monkeypatch, stop_after=3)
    with pytest.raises(Stopped):
        run(small_recipe(Round(5, 1e-3)), tmp_path)
    left = (tmp_path / f"{NAME}.partial.safetensors").read_bytes()
    repeatable(monkeypatch)
    run(small_recipe(Round(5, 1e-3)), tmp_path)
    (tmp_path / f"{NAME}.partial.safetensors").write_bytes(left)  # as if it had been killed before it was removed
    run(small_recipe(Round(5, 1e-3), Round(1, 1e-4)), tmp_path)
    assert not list(tmp_path.glob("*.partial*"))


def test_a_mixture_that_the_material_cannot_fill_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="labelled samples from elsewhere"):
        run(small_recipe(*TWO, datasets=("elsewhere",)), tmp_path)


def test_losses_go_to_tensorboard_where_it_is_installed(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(small_recipe(*TWO), tmp_path)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard" / NAME))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [2, 3]
