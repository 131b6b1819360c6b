"""From logits to probabilities that mean something, and from probabilities to decisions of a stated error rate.

Platt scaling, how genuine faces score, and split-conformal thresholds. Scores of one source (a person, a recording) are
not independent, so sources, each weighing the same, are the units of all that is counted here but Platt's fit.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Sequence
from statistics import NormalDist
from typing import Annotated, Final, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from scipy.special import expit, log_ndtr, ndtri_exp

from vidguard.errors import InputError, WeightsError
from vidguard.types import Label, Probability

PROBABILITY_DIGITS: Final = 5
"""Of a reported probability: more says nothing and makes reports longer. Thresholds lie on the same grid."""
DEFAULT_ERROR_RATE: Final = 0.05
"""Used where nobody asks for another: of 1 % much less is decided."""
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
_Logit = Annotated[float, Field(ge=-1e6, le=1e6)]
_TAILS: Final = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
_NORMAL_SCORES: Final = tuple(NormalDist().inv_cdf(1 - tail) for tail in _TAILS)
_LAST_NORMAL_SCORE: Final = 37.0  # beyond it a double can't tell the share below from 1


@dataclass(frozen=True, config=_STRICT)
class Platt:
    """P(fake) = sigmoid(slope * logit + offset) (Platt 1999)."""

    slope: Annotated[float, Field(gt=0.0, le=1e6)]
    offset: Annotated[float, Field(ge=-1e6, le=1e6)]

    @overload
    def __call__(self, logits: float) -> float: ...
    @overload
    def __call__(self, logits: NDArray[np.float64]) -> NDArray[np.float64]: ...
    def __call__(self, logits: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
        """Calibrate a logit, or an array of them of any shape; gives floats in [0, 1].

        Raises WeightsError where one is infinite or none.
        """
        if not np.isfinite(logits).all():
            raise WeightsError("the weights gave no number for a face; take another set of weights")
        probabilities: NDArray[np.float64] = expit(self.slope * np.asarray(logits, np.float64) + self.offset)
        return float(probabilities) if probabilities.ndim == 0 else probabilities


def fit_logistic(
    features: ArrayLike, is_fake: ArrayLike, weights: ArrayLike, *, ridge: float = 1e-3
) -> NDArray[np.float64]:
    """Weighted logistic regression by Newton's method.

    features: (N, D); is_fake: (N,) bool; weights: (N,) positive. Gives (D + 1,) coefficients, the offset last. The
    labels are softened as Platt does, so that separable data give finite answers.
    """
    x = np.asarray(features, np.float64)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    truth, w = np.asarray(is_fake, bool), np.asarray(weights, np.float64)
    if truth.all() or not truth.any():
        raise InputError("calibration needs both real and fake examples")
    target = np.where(truth, (truth.sum() + 1) / (truth.sum() + 2), 1 / ((~truth).sum() + 2))
    w = w / w.mean()
    penalty = ridge * len(x) * np.eye(x.shape[1])
    penalty[-1, -1] = 0.0
    beta = np.zeros(x.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (w * (p - target)) + penalty @ beta
        hessian = (x * (w * p * (1 - p))[:, None]).T @ x + penalty + 1e-9 * np.eye(x.shape[1])
        step = np.linalg.solve(hessian, gradient)
        # halving keeps Newton from overshooting on nearly separable data
        beta = beta - step / max(1.0, float(np.abs(step).max()) / 2.0)
        if np.abs(step).max() < 1e-8:
            break
    return beta


def fit_platt(logits: ArrayLike, is_fake: ArrayLike, weights: ArrayLike | None = None) -> Platt:
    """Fit Platt scaling to (N,) logits."""
    values = np.asarray(logits, np.float64)[:, None]
    slope, offset = fit_logistic(values, is_fake, np.ones(len(values)) if weights is None else weights)
    return Platt(slope=float(slope), offset=float(offset))


@dataclass(frozen=True, config=_STRICT)
class GenuineScores:
    """How genuine faces score: logits[i] is what a share of .5, .2, .1, .05, .02, .01, .005 (i = 0..6) of them exceeds.

    At least two, rising; between them, and beyond, normal quantiles go on in straight lines. The default is for
    weights whose genuine faces nobody has looked at: the standard logistic distribution.
    """

    logits: tuple[_Logit, ...] = tuple(round(math.log((1 - tail) / tail), 4) for tail in _TAILS)

    def __post_init__(self) -> None:
        """Refuse what is no distribution."""
        if not 2 <= len(self.logits) <= len(_TAILS) or any(b <= a for a, b in itertools.pairwise(self.logits)):
            raise ValueError(f"genuine scores take 2 to {len(_TAILS)} rising logits, got {self.logits}")

    def best_of(self, logit: float, chances: float) -> float:
        """The logit that one genuine face exceeds as often as the best of `chances` exceeds `logit`; chances >= 1.

        Sidak's correction (1967) for independent chances, brought back to the scale of logits: F^-1(F(logit)^chances),
        F being the distribution function. Rises with the logit, falls with the chances, changes nothing for one.
        """
        if chances == 1:
            return logit
        scores = _NORMAL_SCORES[: len(self.logits)]
        normal = _straight(logit, self.logits, scores)
        reached = min(normal, _LAST_NORMAL_SCORE)
        corrected = float(ndtri_exp(chances * float(log_ndtr(reached)))) + normal - reached
        return _straight(corrected, scores, self.logits)


def fit_genuine_scores(logits: ArrayLike, sources: Sequence[str]) -> GenuineScores:
    """Read the distribution off (N,) genuine faces' logits; a source's faces share its weight.

    Shares that fewer than two sources stand for are left out, and those beyond equal logits (a network that saturates);
    where fewer than two remain, as with under ten sources, the default has to do.
    """
    values, weights = np.asarray(logits, np.float64), _share_of_source(sources)
    order = np.argsort(-values, kind="stable")
    exceeding = np.cumsum(weights[order])
    count = len(set(sources))
    tails = [tail for tail in _TAILS if tail * count >= 2]
    found = [float(values[order][np.searchsorted(exceeding, tail + 1e-9)].round(4)) for tail in tails]
    rising = found[: next((i + 1 for i, (a, b) in enumerate(itertools.pairwise(found)) if a == b), len(found))]
    return GenuineScores(tuple(rising)) if len(rising) >= 2 else GenuineScores()


@dataclass(frozen=True, config=_STRICT)
class TrackReading:
    """What a face's logit is the time-weighted mean of: the most suspicious share of its segments, or of its frames.

    The default is what older weights were calibrated with. A share, unlike a maximum, doesn't grow with length.
    """

    of: Literal["segments", "frames"] = "segments"
    share: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        if not 0 < self.share <= 1:
            raise ValueError(f"a share must lie above 0 and at most at 1, got {self.share}")


@dataclass(frozen=True, config=_STRICT)
class Band:
    """Decisions of one level: genuine below the one bound, manipulated from the other up, between them undecided.

    Where classes are so well apart that the bounds cross, everything is decided and both error rates still hold.
    """

    genuine_below: Probability
    manipulated_from: Probability

    def label(self, fake_prob: float) -> Label:
        """The decision about one probability."""
        if fake_prob >= self.manipulated_from:
            return "manipulated"
        return "genuine" if fake_prob < self.genuine_below else "undecided"


@dataclass(frozen=True, config=_STRICT)
class DecisionRule:
    """Bands that keep to one error rate: the share of genuine called manipulated, and of manipulated called genuine."""

    error_rate: Probability
    frame: Band
    """Of stills."""
    segment: Band
    video: Band
    """Of videos, and of their faces."""
    note: str
    """What material promises the rate, and what material was too small to."""
    finding_from: Probability | None = None
    """Two frames at or above it open a finding, at this rate among genuine segments; None: flagged segments do."""


_IDENTITY: Final = Platt(slope=1.0, offset=0.0)


@dataclass(frozen=True, config=_STRICT)
class Calibration:
    """Fitted on sources that no weight was trained on, or declared to be none."""

    frame: Platt
    segment: Platt
    video: Platt
    frame_threshold: Probability
    segment_threshold: Probability
    video_threshold: Probability
    threshold_note: str
    fitted_on: str | None
    """None: nothing was fitted, a probability is the sigmoid of the network's logit and promises no more."""
    frame_genuine: GenuineScores = GenuineScores()
    """Logits, before Platt scaling, of genuine faces in stills."""
    video_genuine: GenuineScores = GenuineScores()
    """The same in videos, by `track_logit`."""
    rules: Annotated[tuple[DecisionRule, ...], Field(max_length=32)] = ()
    """By rising error rate; older sets, and those with too few validation sources, have none."""
    video_reading: TrackReading = TrackReading()
    """How a video's face is read from its parts, for `video` and `video_genuine`."""
    finding_threshold: Probability | None = None
    """Of a frame's probability by `segment`: two frames at or above it open a finding; None: segments at or above
    theirs make findings, as in older sets."""

    def __post_init__(self) -> None:
        """Refuse a scaling, or a promise, that comes from nowhere."""
        if self.fitted_on is None and any(p != _IDENTITY for p in (self.frame, self.segment, self.video)):
            raise ValueError("a calibration that was fitted on nothing must leave the logits as they are")
        if self.fitted_on is None and self.rules:
            raise ValueError("a calibration that was fitted on nothing promises no error rate")


def smallest_error_rate(num_sources: int) -> float:
    """The smallest rate that so many sources can promise: a new one is the worst of n + 1 by chance 1 / (n + 1)."""
    return 1 / (num_sources + 1)


def flag_from(probabilities: ArrayLike, sources: Sequence[str], error_rate: float, *, promise: bool = True) -> float:
    """The smallest threshold that a genuine example of a new source reaches with at most this probability.

    probabilities: (N,) of genuine examples on the grid of reported ones; sources: (N,) names. Split conformal
    prediction for one class alone (Mondrian; Vovk et al. 2005) over groups (hierarchical; Lee, Barber & Willett 2023):
    valid in finite samples for one example drawn from a new source, if that source is exchangeable with these and the
    scores were learnt elsewhere. It averages over sources and over the draw of these: of one source, however unlucky,
    it promises nothing. Raises InputError where there are too few sources for the rate (19 for 5 %, 99 for 1 %).

    promise=False: the rate holds among these examples, sources weighing the same, and nothing is promised of others.
    Above 1, by one step of the grid, where too many genuine examples have a probability of 1.
    """
    refused = _first_refused(np.asarray(probabilities, np.float64), sources, error_rate, promise)
    return round(refused + 10.0**-PROBABILITY_DIGITS, PROBABILITY_DIGITS)


def genuine_below(
    probabilities: ArrayLike, sources: Sequence[str], error_rate: float, *, promise: bool = True
) -> float:
    """The largest bound that a manipulated example stays below with at most this probability: `flag_from`'s mirror."""
    refused = _first_refused(-np.asarray(probabilities, np.float64), sources, error_rate, promise)
    return round(-refused, PROBABILITY_DIGITS)


def _first_refused(scores: NDArray[np.float64], sources: Sequence[str], error_rate: float, promise: bool) -> float:
    """The largest score outside the top `error_rate`; a promise counts the new source as one more above all."""
    if not 0 < error_rate < 1:
        raise InputError(f"an error rate must lie between 0 and 1, got {error_rate}")
    count = len(set(sources))
    least = smallest_error_rate(count)
    if count == 0 or (promise and error_rate < least - 1e-12):
        needed = math.ceil(1 / error_rate - 1e-9) - 1
        raise InputError(
            f"{count} sources can't promise an error rate of {error_rate:.2g}, which takes at least {needed}; add "
            f"validation sources, or ask for {least:.2g} or more"
        )
    order = np.argsort(-scores, kind="stable")
    reached = (promise + count * np.cumsum(_share_of_source(sources)[order])) / (count + promise)
    # the last reaches 1, so something is refused
    return float(scores[order][np.argmax(reached > error_rate + 1e-12)])


def _share_of_source(sources: Sequence[str]) -> NDArray[np.float64]:
    """Weights (N,) that sum to one, each source's the same."""
    _, inverse, counts = np.unique(np.asarray(sources), return_inverse=True, return_counts=True)
    weights: NDArray[np.float64] = 1.0 / (counts[inverse] * len(counts))
    return weights


def _straight(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """Interpolate in straight lines; below the first point the first line goes on, above the last the overall slope."""
    if x > xs[-1]:
        return ys[-1] + (x - xs[-1]) * (ys[-1] - ys[0]) / (xs[-1] - xs[0])
    after = max(1, bisect_left(xs, x))
    slope = (ys[after] - ys[after - 1]) / (xs[after] - xs[after - 1])
    return ys[after - 1] + (x - xs[after - 1]) * slope
