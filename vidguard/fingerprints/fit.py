"""Fitting a fingerprint detector, by scikit-learn; what comes out needs numpy alone."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vidguard.errors import InputError
from vidguard.fingerprints.fingerprint import KINDS, Fingerprint, Floats
from vidguard.scoring.calibration import Platt, fit_platt

_RBF_C: Final = 6.37  # Durall's, with the kernel's gamma
_LINEAR_C: Final = 0.01  # of 1e-3, 1e-2 and 0.1, cross-validated on CIPLAB: best for the spectrum, level for colours
_FOLDS: Final = 5


def fit_fingerprint(
    kind: str, features: Floats, is_fake: NDArray[np.bool_], groups: Sequence[str], *, trained_on: str
) -> Fingerprint:
    """Fit one of the `KINDS` to features (N, D) of N faces and calibrate it; both classes weigh the same.

    groups: one name per face; faces that share a source share a group. Decisions on groups that a machine hasn't seen,
    in five folds, are what the calibration is fitted on. trained_on: the material, in words. Raises InputError without
    scikit-learn, for an unknown kind and for fewer than five groups of a class.
    """
    if kind not in KINDS:
        raise InputError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
    require_scikit_learn()
    from sklearn.model_selection import StratifiedGroupKFold

    names = np.asarray(groups)
    if min(len(set(names[is_fake])), len(set(names[~is_fake]))) < _FOLDS:
        raise InputError(f"fitting needs genuine and fake faces of at least {_FOLDS} groups each")
    unseen = np.empty(len(features))
    for seen, held in StratifiedGroupKFold(_FOLDS).split(features, is_fake, names):
        unseen[held] = _fit(kind, features[seen], is_fake[seen], Platt(1.0, 0.0), trained_on).decide(features[held])
    # the mean weight of a class is 1 for both: P(fake) is 0.5 where the classes are equally likely
    weights = np.where(is_fake, 0.5 / is_fake.mean(), 0.5 / (1 - is_fake.mean()))
    return _fit(kind, features, is_fake, _platt(unseen, is_fake, weights), trained_on)


def require_scikit_learn() -> None:
    """Raise InputError where it isn't installed."""
    if importlib.util.find_spec("sklearn") is None:
        raise InputError("fitting a fingerprint needs: pip install 'vidguard[train]'")


def fit_small(
    kind: str, features: Floats, is_fake: NDArray[np.bool_], *, vectors: int, seed: int, trained_on: str
) -> Fingerprint:
    """Fit one of the `KINDS` without calibration, a kernel's machine on no more than this number of vectors.

    They are faces drawn at random, each of which weighs what a linear machine on its kernel gives it: a reduced support
    vector machine (Lee & Mangasarian, SDM 2001). Raises InputError without scikit-learn.
    """
    require_scikit_learn()
    gamma, uncalibrated = KINDS[kind].gamma, Platt(1.0, 0.0)
    if gamma is None:
        return _fit(kind, features, is_fake, uncalibrated, trained_on)
    from sklearn.metrics.pairwise import rbf_kernel
    from sklearn.svm import LinearSVC

    rng = np.random.default_rng(seed)
    chosen = features[rng.choice(len(features), vectors, replace=len(features) < vectors)]
    machine = LinearSVC(C=_RBF_C, class_weight="balanced", dual=False).fit(
        rbf_kernel(features, chosen, gamma=gamma), is_fake
    )
    none, size = np.zeros(features.shape[1]), np.ones(features.shape[1])
    weights, constant = machine.coef_[0], float(machine.intercept_[0])
    return Fingerprint(kind, none, size, chosen, weights, constant, uncalibrated, trained_on)


def _platt(decisions: Floats, is_fake: NDArray[np.bool_], weights: Floats) -> Platt:
    try:
        return fit_platt(decisions, is_fake, weights)
    except ValueError:
        # decisions on unseen groups that say nothing, or the opposite
        raise InputError("these features don't tell fake from genuine: nothing to calibrate") from None


def _fit(kind: str, features: Floats, is_fake: NDArray[np.bool_], platt: Platt, trained_on: str) -> Fingerprint:
    mean, scale = np.zeros(features.shape[1]), np.ones(features.shape[1])
    if KINDS[kind].standardize:
        mean, spread = features.mean(0), features.std(0)
        scale = np.where(spread > 1e-9, spread, 1.0)
    machine = _machine(kind).fit((features - mean) / scale, is_fake)
    linear = KINDS[kind].gamma is None
    return Fingerprint(
        kind=kind,
        mean=mean,
        scale=scale,
        vectors=np.zeros((0, features.shape[1])) if linear else machine.support_vectors_,
        weights=np.ravel(machine.coef_ if linear else machine.dual_coef_).astype(np.float64),
        intercept=float(machine.intercept_[0]),
        platt=platt,
        trained_on=trained_on,
    )


def _machine(kind: str) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    if kind == "spectrum-logistic":
        return LogisticRegression(C=_LINEAR_C, class_weight="balanced", max_iter=1000)
    if KINDS[kind].gamma is None:
        return SVC(C=_LINEAR_C, kernel="linear", class_weight="balanced")
    return SVC(C=_RBF_C, gamma=KINDS[kind].gamma, class_weight="balanced")
