"""Fitting one fingerprint, in the place of a network's rounds."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
from rich.progress import track as progress

from vidguard.encoders import ENCODERS, FingerprintEncoder, prepare_crops
from vidguard.encoders.fingerprint import SVM_VECTORS
from vidguard.errors import InputError
from vidguard.fingerprints import fit_small, require_scikit_learn
from vidguard.training.checkpoint import Say, final_digest, is_made, save_tensors
from vidguard.training.material import Store
from vidguard.training.recipe import Recipe
from vidguard.training.samples import SampleStream


def fit_encoder(name: str, recipe: Recipe, store: Store, work: Path, *, say: Say) -> None:
    """Fit one fingerprint by its recipe into work/<name>.safetensors. Samples without anything to read are left out.

    Raises InputError when the file was fitted by another recipe or on other crops, where the material lacks what the
    mixture draws, and without scikit-learn.
    """
    final, settings = work / f"{name}.safetensors", recipe.fitted[name]
    wanted = final_digest(recipe, name, store.made_from)
    if is_made(final, wanted, say):
        say(f"{name}: fitted already, {final} is there")
        return
    require_scikit_learn()  # what is missing is told now, not after minutes of drawing
    encoder = ENCODERS[name]()
    assert isinstance(encoder, FingerprintEncoder)  # the recipe has checked it
    stream = SampleStream(store, recipe.mixture_of(name), seed=recipe.seed, degraded=settings.degraded)
    stream.require_material()
    features, is_fake = [], []
    for crop, label, *_ in progress(islice(stream, settings.samples), description=name, total=settings.samples):
        read = encoder.read(prepare_crops(crop[None], encoder.input_size))[0]
        if read.isfinite().all():
            features.append(read.numpy())
            is_fake.append(label > 0)
    if len(set(is_fake)) < 2:
        raise InputError(f"{settings.samples} samples hold no genuine face or no fake one to fit {name} to; draw more")
    encoder.take(
        fit_small(
            encoder.kind,
            np.stack(features),
            np.array(is_fake),
            vectors=SVM_VECTORS,
            seed=recipe.seed,
            trained_on=recipe.name,
        )
    )
    say(f"{name}: fitted to {len(is_fake)} samples, {sum(is_fake)} of them fake")
    save_tensors(final, encoder.state_dict(), wanted)
