"""Fingerprints as encoders answer as the fitted machines do, and for crops that have nothing to read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vidguard.detector.explain import evidence_map
from vidguard.encoders import ENCODERS, FingerprintEncoder, prepare_crops
from vidguard.encoders.fingerprint import SVM_VECTORS
from vidguard.errors import InputError
from vidguard.fingerprints import KINDS, Fingerprint, fit_small

PRINTS = [name for name, encoder in ENCODERS.items() if issubclass(encoder, FingerprintEncoder)]


def faces(count: int) -> torch.Tensor:
    """Coloured noise (N, 3, 224, 224) uint8; every second one is smoother."""
    rng = np.random.default_rng(0)
    made = rng.normal(0, 40, (count, 224, 224, 3))
    made[::2] = (made[::2] + np.roll(made[::2], 1, 1) + np.roll(made[::2], 1, 2)) / 2
    return torch.from_numpy(np.clip(made + np.array([150, 110, 90]), 0, 255).astype(np.uint8)).permute(0, 3, 1, 2)


def fitted(name: str, crops: torch.Tensor) -> tuple[FingerprintEncoder, Fingerprint]:
    encoder = ENCODERS[name]().eval()
    assert isinstance(encoder, FingerprintEncoder)
    features = encoder.read(crops.float() / 255).numpy()
    is_fake = np.arange(len(crops)) % 2 == 0
    machine = fit_small(encoder.kind, features, is_fake, vectors=SVM_VECTORS, seed=0, trained_on="noise")
    encoder.take(machine)
    return encoder, machine


@pytest.mark.parametrize("name", PRINTS)
def test_an_encoder_answers_as_the_machine_that_was_fitted(name: str) -> None:
    crops = faces(12)
    encoder, machine = fitted(name, crops)
    with torch.inference_mode():
        output = encoder(prepare_crops(crops, encoder.input_size))
    features = np.stack([KINDS[encoder.kind].features(crop.permute(1, 2, 0).numpy()) for crop in crops])
    np.testing.assert_allclose(output.fake_logit, machine.decide(features), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(output.embedding, (features - machine.mean) / machine.scale, rtol=1e-3, atol=1e-3)
    assert output.fake_logit[::2].min() > output.fake_logit[1::2].max()


def test_a_crop_without_contrast_gets_the_constant_and_changes_no_other_answer() -> None:
    crops = faces(4)
    encoder, machine = fitted("spectrum-lr", crops)
    with torch.inference_mode():
        alone = encoder(prepare_crops(crops, 224)).fake_logit
        crops = torch.cat([crops, torch.zeros(1, 3, 224, 224, dtype=torch.uint8)])
        found = encoder(prepare_crops(crops, 224)).fake_logit
    assert found[4].item() == pytest.approx(machine.intercept, abs=1e-6)
    torch.testing.assert_close(found[:4], alone)


def test_a_reduced_machine_keeps_to_its_number_of_vectors_and_is_repeatable() -> None:
    rng = np.random.default_rng(0)
    features, is_fake = rng.normal(0, 0.05, (400, 300)), np.arange(400) % 2 == 0
    features[is_fake, :20] += 0.1
    made = [fit_small("spectrum-svm", features, is_fake, vectors=30, seed=1, trained_on="noise") for _ in range(2)]
    assert made[0].vectors.shape == (30, 300)
    np.testing.assert_array_equal(made[0].weights, made[1].weights)
    new = rng.normal(0, 0.05, (100, 300))
    new[:50, :20] += 0.1
    assert ((made[0].decide(new) > 0) == (np.arange(100) < 50)).mean() > 0.9


def test_another_kind_is_refused_and_no_place_is_named() -> None:
    crops = faces(4)
    encoder, _ = fitted("color-svm", crops)
    _, other = fitted("spectrum-lr", crops)
    with pytest.raises(InputError, match="isn't what color-svm takes"):
        encoder.take(other)
    logit, places = evidence_map(encoder, prepare_crops(crops[:1], 224))
    assert logit == pytest.approx(encoder(prepare_crops(crops[:1], 224)).fake_logit.item(), abs=1e-6)
    assert not places.any()
