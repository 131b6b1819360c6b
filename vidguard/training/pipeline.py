"""The stages that make a weight set. Each leaves its output in the work folder and isn't run again where that is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch

from vidguard.config import AnalysisConfig
from vidguard.detector import Judge
from vidguard.detector.cost import cost_of
from vidguard.errors import InputError, WeightsError
from vidguard.faces.mesh import FaceMesh
from vidguard.files import write_whole
from vidguard.processes import sole_owner
from vidguard.training.calibrate import calibrate, encoder_figures, fit_fusion
from vidguard.training.checkpoint import Say, continued, digest, final_digest, is_made
from vidguard.training.export import export, passport_of, write_card
from vidguard.training.fit import fit_encoder
from vidguard.training.frames import load_trained, train_encoder
from vidguard.training.kinds import name_kinds
from vidguard.training.listing import list_material
from vidguard.training.material import MADE_FROM, Store, build_store, open_store
from vidguard.training.meshes import find_meshes
from vidguard.training.recipe import Recipe, settings_of
from vidguard.training.sequences import (
    MIN_FRAMES,
    forged_sequences,
    judged_frames,
    kept_sequences,
    labelled_clips,
    labelled_fakes,
    labelled_tracks,
    single_frames,
)
from vidguard.training.sequences import Sequence as Track
from vidguard.training.temporal import train_temporal
from vidguard.weights import find_weights, read_passport

_CUT_BY: Final = "cut_by"  # in a store: digest of the settings that it was cut by, known without the material


def train(
    recipe: Recipe, material: Sequence[Path], work: Path, out: Path, *, only: str | None, workers: int, show: Say
) -> None:
    """Run the stages prepare, each encoder's, and temporal in order, or only one; tells of it by `show`.

    Raises InputError for a stage that the recipe hasn't, for material that can't be used, and where the work folder
    holds what another recipe or other material made, or another process works in it.
    """
    stages: dict[str, Callable[[Say], None]] = {
        "prepare": partial(prepare, recipe, material, work, workers),
        **{name: partial(_encoder, name, recipe, work, workers) for name in recipe.names},
        "temporal": partial(temporal, recipe, work, out),
    }
    if only is not None and only not in stages:
        raise InputError(f"no stage {only!r}; {recipe.name} has {', '.join(stages)}")

    def say(line: str) -> None:
        with (work / "train.log").open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now().isoformat(timespec='seconds')} {line}\n")
        show(line)

    with sole_owner(work):
        for name, stage in stages.items():
            if only in (None, name):
                stage(say)


def prepare(recipe: Recipe, material: Sequence[Path], work: Path, workers: int, say: Say) -> None:
    """Cut every face of the material into work/store, a store of aligned crops, and find meshes where wanted.

    The folder gets its name when it is complete. Raises InputError when it is there but was made from something else.
    """
    store, unfinished = work / "store", work / "store.partial"
    listed = list_material(material, recipe.material) if material else []
    wanted = digest(settings_of(recipe.material), [vars(row) for _, row in listed])
    if store.is_dir():
        _require(store / _CUT_BY, _cut_by(recipe))
        if listed:
            _require(store / MADE_FROM, wanted)
        say(f"prepare: crops are there, in {store}")
        return
    if not listed:
        raise InputError(f"there are no crops in {work}: say with --material what to cut them from")
    if recipe.material.meshes:
        FaceMesh()  # what is missing for it is told now, not after hours of cutting
    if _read(unfinished / MADE_FROM) != wanted:
        (unfinished / MADE_FROM).unlink(missing_ok=True)
        build_store(listed, unfinished, recipe.material, workers=workers, say=say)
        write_whole(unfinished / MADE_FROM, wanted.encode())
    if recipe.material.meshes:
        find_meshes(unfinished, workers=workers)
    write_whole(unfinished / _CUT_BY, _cut_by(recipe).encode())
    unfinished.rename(store)
    say(f"prepare: {len(open_store(store).rows)} crops in {store}")


def temporal(recipe: Recipe, work: Path, out: Path, say: Say) -> None:
    """Fuse the trained encoders, train the temporal transformer, calibrate, and export out/<recipe's name>."""
    store = _store(recipe, work)
    judge = _assemble(recipe, work, store, say)
    wanted = _weights_digest(recipe, work)
    if _exported(recipe, out) == wanted:
        say(f"temporal: the weights are there; delete {out / recipe.name / 'passport.json'} to make them again")
        return
    crops = recipe.temporal.single_frames
    crops = store.labelled(split="val") if crops is None else crops
    least = AnalysisConfig().min_detail
    made_from = digest(_inputs(recipe, work), recipe.seed, recipe.temporal.forgeries_per_track, crops, least)
    val_file, training_file = (work / f"sequences.{split}.safetensors" for split in ("val", "temporal"))
    validation = kept_sequences(val_file, made_from, partial(_validation, recipe, store, judge, crops))
    judged = judged_frames(validation)
    fit_fusion(judge, judged)
    history: list[float] = []
    if recipe.temporal.epochs:
        made = kept_sequences(training_file, made_from, partial(_training, recipe, store, judge))
        training = judged_frames(made)
        with (work / "temporal.log").open("w", buffering=1) as log:
            history = train_temporal(judge, training, judged, recipe.temporal, seed=recipe.seed, log=log)
    calibration, levels = calibrate(judge, validation)
    shown: dict[str, Any] = {"validation": levels, "encoders": encoder_figures(judge, judged)}
    shown["temporal"] = {"validation_loss_by_epoch": [round(loss, 4) for loss in history]}
    if recipe.kinds is not None:
        shown["kinds"] = name_kinds(judge, recipe, store, work / "kinds.safetensors", inputs=_inputs(recipe, work))
        say(f"temporal: validation accuracy of kinds {shown['kinds']['accuracy']:.3f}, classes weighing the same")
    shown |= {"trained_from": wanted, "cost": cost_of(judge)}
    export(judge, passport_of(judge, recipe, calibration, shown, learnt_from(recipe, store)), recipe, out)
    write_card(out, recipe.name)
    for level, datasets in levels.items():
        for dataset, found in datasets.items():
            say(f"temporal: validation {level} AUC {found['auc']:.3f} over {found['count']} of {dataset}")
    say(f"temporal: wrote {out / recipe.name}")


def _validation(recipe: Recipe, store: Store, judge: Judge, crops: tuple[str, ...]) -> list[Track]:
    count, seed = recipe.temporal.forgeries_per_track, recipe.seed
    found = list(forged_sequences(store, judge, split="val", forgeries=count, seed=seed + 1))
    found += single_frames(store, judge, split="val", datasets=crops)
    found += labelled_clips(store, judge, split="val", seed=seed + 5)
    if {bool(fake) for sequence in found for fake in sequence.is_fake} != {False, True}:
        raise InputError(
            "nothing to calibrate on: the split val needs a genuine video, or genuine and fake crops of one data set"
        )
    return found


def _training(recipe: Recipe, store: Store, judge: Judge) -> list[Track]:
    """Forged tracks of the reserved people, where the recipe reserves any, and of videos that are labelled fake."""
    count, seed = recipe.temporal.forgeries_per_track, recipe.seed
    split = _temporal_split(store)
    found = list(forged_sequences(store, judge, split=split, forgeries=count, seed=seed + 3))
    if not found:
        raise InputError(f"no genuine face is followed for {MIN_FRAMES} frames in the split {split}; add videos")
    return found + list(labelled_fakes(store, judge, split=split, seed=seed + 4))


def learnt_from(recipe: Recipe, store: Store) -> tuple[str, ...]:
    """Data sets that an encoder's mixture draws from, those whose tracks the transformer learns from, and those that a
    set learnt from which the recipe continues."""
    drawn = {dataset for name in recipe.names for part in recipe.mixture_of(name) for dataset in part.datasets}
    split = _temporal_split(store)
    tracks = store.tracks(split=split, minimum=MIN_FRAMES) + labelled_tracks(store, split=split)
    followed = {store.rows[track[0]].dataset for track in tracks if recipe.temporal.epochs}
    before = () if recipe.continues is None else read_passport(find_weights(recipe.continues)).training_data
    used = {r.dataset for r in store.rows if r.split == "train" and r.dataset in drawn}
    return tuple(sorted(followed | used | set(before)))


def _temporal_split(store: Store) -> str:
    return "temporal" if any(row.split == "temporal" for row in store.rows) else "train"


def _encoder(name: str, recipe: Recipe, work: Path, workers: int, say: Say) -> None:
    store = _store(recipe, work)
    if name in recipe.fitted:
        fit_encoder(name, recipe, store, work, say=say)
    else:
        train_encoder(name, recipe, store, work, say=say, workers=workers)


def _store(recipe: Recipe, work: Path) -> Store:
    if not (work / "store").is_dir():
        raise InputError(f"there are no crops in {work}; the stage prepare, with --material, makes them")
    _require(work / "store" / _CUT_BY, _cut_by(recipe))
    return open_store(work / "store")


def _cut_by(recipe: Recipe) -> str:
    return digest(settings_of(recipe.material))


def _require(file: Path, wanted: str) -> None:
    """Raise InputError where a store's file says that it was made from something else; older stores don't say."""
    if _read(file) not in (None, wanted):
        raise InputError(
            f"{file.parent} was cut from other material, or by other settings; use another --work, or delete the "
            "folder and the encoders that were trained on it"
        )


def _assemble(recipe: Recipe, work: Path, store: Store, say: Say) -> Judge:
    torch.manual_seed(recipe.seed)
    judge = Judge(recipe.names, {})
    for name in judge.names:
        file = work / f"{name}.safetensors"
        if not is_made(file, final_digest(recipe, name, store.made_from), say):
            raise InputError(f"{file} is missing; the stage {name} makes it")
        judge.encoders[name].load_state_dict(load_trained(name, work).state_dict())
    if recipe.continues is not None:
        judge.temporal.load_state_dict(continued(recipe, "temporal."))
    return judge.eval().to(memory_format=torch.channels_last)


def _weights_digest(recipe: Recipe, work: Path) -> str:
    return digest(settings_of(recipe), _inputs(recipe, work))


def _inputs(recipe: Recipe, work: Path) -> list[str | int | None]:
    """What tells one set of crops and encoders from another; of the crops, many GB, their sizes must do."""
    store = work / "store"
    files = [store / "rows.csv", *(work / f"{name}.safetensors" for name in sorted(recipe.names))]
    sizes = [file.stat().st_size if file.is_file() else None for file in (store / "crops.npy", store / "meshes.npy")]
    return [*(hashlib.sha256(file.read_bytes()).hexdigest() for file in files), _read(store / MADE_FROM), *sizes]


def _exported(recipe: Recipe, out: Path) -> str | None:
    try:
        found = read_passport(find_weights(recipe.name, out)).figures.get("trained_from")
    except WeightsError:
        return None
    return found if isinstance(found, str) else None


def _read(file: Path) -> str | None:
    return file.read_text() if file.is_file() else None
