"""Fingerprints against plain loops and against scikit-learn's own decision functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from vidguard.errors import InputError, WeightsError
from vidguard.fingerprints import (
    KINDS,
    Fingerprint,
    azimuthal_spectrum,
    color_statistics,
    fit_fingerprint,
    load_fingerprint,
    native_face,
    save_fingerprint,
)
from vidguard.fingerprints.spectrum import ring_means

Picture = np.ndarray


def _face(seed: int, *, smooth: int = 1, side: int = 48) -> Picture:
    """Coloured noise; the smoother, the less there is of high frequencies."""
    noise = np.random.default_rng(seed).normal(0, 40, (side, side, 3))
    for _ in range(smooth):
        noise = (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)) / 2
    return np.clip(noise + np.array([150, 110, 90]), 0, 255).astype(np.uint8)


def _set(kind: str, count: int = 40) -> tuple[np.ndarray, np.ndarray, list[str]]:
    is_fake = np.arange(count) % 2 == 0
    faces = [_face(i, smooth=2 if fake else 1) for i, fake in enumerate(is_fake)]
    return np.stack([KINDS[kind].features(face) for face in faces]), is_fake, [str(i) for i in range(count)]


@pytest.mark.parametrize("side", [5, 8])
def test_ring_means_are_a_plain_loops(side: int) -> None:
    spectrum = np.random.default_rng(0).normal(size=(side, side))
    rings: dict[int, list[float]] = {}
    for y in range(side):
        for x in range(side):
            radius = int(math.sqrt((y - side // 2) ** 2 + (x - side // 2) ** 2))
            rings.setdefault(radius, []).append(float(spectrum[y, x]))
    expected = [sum(rings[r]) / len(rings[r]) for r in sorted(rings) if r > 0]
    np.testing.assert_allclose(ring_means(spectrum), expected, rtol=1e-12)


def test_the_spectrum_is_a_slow_transforms() -> None:
    face = _face(0, side=32)
    gray = 0.299 * face[..., 0] + 0.587 * face[..., 1] + 0.114 * face[..., 2]
    turn = np.exp(-2j * np.pi * np.outer(np.arange(32), np.arange(-16, 16)) / 32)
    profile = ring_means(20 * np.log(np.abs(turn.T @ gray @ turn) + 1e-8))
    expected = np.interp(np.linspace(0, 1, 300), np.linspace(0, 1, len(profile)), profile) / profile[0]
    np.testing.assert_allclose(azimuthal_spectrum(face), expected, rtol=1e-9)


def test_the_spectrum_reads_the_central_square() -> None:
    wide = np.concatenate([_face(1, side=48)[:, :10], _face(2, side=48), _face(3, side=48)[:, :10]], axis=1)
    np.testing.assert_allclose(azimuthal_spectrum(wide), azimuthal_spectrum(_face(2, side=48)))


def test_a_band_of_frequencies_shows_where_it_lies() -> None:
    rng, offset = np.random.default_rng(6), np.fft.fftfreq(64) * 64
    radius = np.hypot(offset[:, None], offset[None])
    band = np.fft.ifft2(np.fft.fft2(rng.normal(0, 1, (64, 64))) * ((radius >= 20) & (radius < 21))).real
    gray = 128 + 30 * band / band.std() + rng.normal(0, 2, (64, 64))
    gray += 20 * np.cos(2 * np.pi * np.arange(64) / 64)
    face = np.repeat(np.clip(gray, 0, 255)[..., None], 3, 2).astype(np.uint8)
    rings = int(32 * math.sqrt(2))  # of radius 1 and up
    assert azimuthal_spectrum(face)[60:].argmax() + 60 == pytest.approx((20 - 1) / (rings - 1) * 299, abs=4)


def test_color_statistics_are_plain_formulas() -> None:
    face = _face(4)
    pixels = face.reshape(-1, 3) / 255
    red, green, blue = pixels.T
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    found = color_statistics(face)
    assert found.shape == (48,)
    assert np.isfinite(found).all()
    assert found[0] == pytest.approx(luma.mean())
    assert found[1] == pytest.approx(luma.std())
    assert found[2] == pytest.approx((((luma - luma.mean()) / luma.std()) ** 3).mean())
    assert found[5] == pytest.approx(((blue - luma) / 1.772).std(), rel=1e-4)  # Cb by its definition
    assert found[22] == pytest.approx(np.corrcoef(red, green)[0, 1])
    assert found[25] == pytest.approx(np.corrcoef(luma, blue - luma)[0, 1], rel=1e-4)
    saturation = (pixels.max(1) - pixels.min(1)) / pixels.max(1)
    assert found[12] == pytest.approx(saturation.mean())
    np.testing.assert_allclose(found[-8:], np.histogram(saturation, 8, (0, 1))[0] / len(pixels))


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (10, 200, 30)])
def test_colors_of_an_even_picture_are_finite(color: tuple[int, int, int]) -> None:
    even = np.full((32, 32, 3), color, np.uint8)
    assert np.isfinite(color_statistics(even)).all()
    with pytest.raises(InputError, match="without contrast"):
        azimuthal_spectrum(even)


@pytest.mark.parametrize("read", [azimuthal_spectrum, color_statistics])
def test_pictures_of_another_shape_are_refused(read: Callable[[Picture], np.ndarray]) -> None:
    for wrong in (np.zeros((48, 48), np.uint8), np.zeros((48, 48, 4), np.uint8), np.zeros((48, 48, 3))):
        with pytest.raises(InputError, match="uint8 RGB"):
            read(wrong)
    with pytest.raises(InputError, match="at least 32"):
        read(np.zeros((31, 48, 3), np.uint8))


def test_a_face_is_cut_pixel_for_pixel() -> None:
    picture = np.random.default_rng(5).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    points = np.array([[130, 80], [170, 80], [150, 100], [135, 120], [165, 120]], np.float32)
    face = native_face(picture, points)
    np.testing.assert_array_equal(face, picture[96 - 52 : 96 + 52, 150 - 52 : 150 + 52])
    assert native_face(picture, points - (130, 0)).shape == (104, 72, 3)
    with pytest.raises(InputError, match="too few"):
        native_face(picture, points - (180, 0))
    with pytest.raises(InputError, match="finite"):
        native_face(picture, points * np.nan)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_decisions_are_scikit_learns(kind: str) -> None:
    features, is_fake, groups = _set(kind)
    fitted = fit_fingerprint(kind, features, is_fake, groups, trained_on="noise")
    scaled = (features - fitted.mean) / fitted.scale
    machine = {
        "spectrum-svm": SVC(C=6.37, gamma=0.86, class_weight="balanced"),
        "spectrum-logistic": LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000),
        "color-svm": SVC(C=0.01, kernel="linear", class_weight="balanced"),
    }[kind].fit(scaled, is_fake)
    others = np.stack([KINDS[kind].features(_face(i, smooth=1 + i % 2)) for i in range(100, 110)])
    expected = machine.decision_function((others - fitted.mean) / fitted.scale)
    np.testing.assert_allclose(fitted.decide(others), expected, rtol=1e-6, atol=1e-9)
    assert np.abs(expected).max() > 1e-3
    assert fitted(_face(200, smooth=2)) > 0 > fitted(_face(201, smooth=1))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_saved_fingerprint_judges_alike(kind: str, tmp_path: Path) -> None:
    fitted = fit_fingerprint(kind, *_set(kind), trained_on="noise")
    save_fingerprint(fitted, tmp_path / "print.safetensors")
    loaded = load_fingerprint(tmp_path / "print.safetensors")
    assert loaded(_face(300)) == fitted(_face(300))
    assert loaded.trained_on == "noise"
    assert list(tmp_path.iterdir()) == [tmp_path / "print.safetensors"]


def test_a_file_that_is_none_says_so(tmp_path: Path) -> None:
    path = tmp_path / "print.safetensors"
    with pytest.raises(WeightsError, match="isn't a fingerprint"):
        load_fingerprint(path)
    path.write_bytes(b"\x80\x04no pickle")
    with pytest.raises(WeightsError, match="isn't a fingerprint"):
        load_fingerprint(path)
    save_file({"mean": np.zeros(3)}, path)
    with pytest.raises(WeightsError, match="isn't a fingerprint"):
        load_fingerprint(path)
    with path.open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(WeightsError, match="larger than any"):
        load_fingerprint(path)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "colour"},
        {"weights": np.zeros(3)},
        {"scale": np.zeros(48)},
        {"mean": np.full(48, np.nan)},
        {"intercept": math.inf},
        {"vectors": np.zeros((2, 48))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_arrays_that_make_no_detector_are_refused(change: dict[str, object]) -> None:
    fitted = fit_fingerprint("color-svm", *_set("color-svm"), trained_on="noise")
    with pytest.raises(InputError):
        replace(fitted, **change)  # type: ignore[arg-type]


def test_features_of_another_length_are_refused() -> None:
    fitted: Fingerprint = fit_fingerprint("color-svm", *_set("color-svm"), trained_on="noise")
    with pytest.raises(InputError, match=r"\(N, 48\)"):
        fitted.decide(np.zeros((2, 300)))


def test_fitting_needs_a_known_kind_and_enough_sources() -> None:
    features, is_fake, groups = _set("color-svm")
    with pytest.raises(InputError, match="kind must be one of"):
        fit_fingerprint("mesonet", features, is_fake, groups, trained_on="noise")
    with pytest.raises(InputError, match="at least 5 groups"):
        fit_fingerprint("color-svm", features, is_fake, ["one"] * len(groups), trained_on="noise")


def test_what_doesnt_carry_over_to_other_sources_isnt_calibrated() -> None:
    # what tells fakes in two of five groups tells the genuine in two others: the unseen group is always judged wrong
    means = np.repeat([1.0, 1.0, -1.0, -1.0, 0.0], 4)
    is_fake = np.arange(20) % 2 == 0
    features = np.zeros((20, 48))
    features[:, 0] = np.where(is_fake, means, -means)
    with pytest.raises(InputError, match="nothing to calibrate"):
        fit_fingerprint("color-svm", features, is_fake, [str(i // 4) for i in range(20)], trained_on="signs")
