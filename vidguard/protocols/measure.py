"""From scores to figures: pooled, by method, by compression, over frames and over stretches of time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vidguard import metrics
from vidguard.errors import InputError
from vidguard.protocols.items import Item
from vidguard.protocols.protocol import Protocol
from vidguard.protocols.result import Comparison, Estimate, Figures, ScoredItem, SegmentFigures, group_key

SEED: Final = 0
_EPSILON: Final = float(np.finfo(np.float64).eps)  # as scikit-learn: a certain mistake costs 36 nats, not infinity
_IOU_THRESHOLD: Final = 0.5


def figures_by_group(scored: Sequence[ScoredItem], protocol: Protocol, threshold: float) -> dict[str, Figures]:
    """Figures of whole items, by `group_key`. A group of a method has its fakes and every genuine item."""
    return {key: _figures(part, protocol, threshold) for key, part in _groups(scored)}


def frame_figures(scored: Sequence[ScoredItem], protocol: Protocol, threshold: float) -> dict[str, Figures]:
    """The same with every judged frame as an item of its own: the field's frame-level figures."""
    return {key: _frame_figures(part, protocol, threshold) for key, part in _groups(scored)}


def segment_figures(scored: Sequence[ScoredItem], segment_threshold: float) -> SegmentFigures | None:
    """How well forged stretches are found; None where no item's truth in time is known.

    Found are the segments at or above the threshold, over all faces, adjacent ones joined.
    """
    known = [s for s in scored if s.item.forged is not None]
    if not known:
        return None
    matches, overlaps = [], []
    for one in known:
        found = metrics.merge_intervals(
            (g.start, g.end) for g in one.score.segments if g.fake_prob >= segment_threshold
        )
        truth = list(one.item.forged or ())
        matches.append(metrics.match_segments(found, truth, iou=_IOU_THRESHOLD))
        if truth:
            overlaps.append(metrics.temporal_iou(found, truth))
    pooled = metrics.pool_matches(matches)
    start_error, end_error = pooled.boundary_error
    return SegmentFigures(
        items=len(known),
        iou_threshold=_IOU_THRESHOLD,
        precision=_defined(pooled.precision),
        recall=_defined(pooled.recall),
        f1=_defined(pooled.f1),
        temporal_iou=float(np.mean(overlaps)) if overlaps else None,
        auc=_segment_auc(known),
        start_error_seconds=_defined(start_error),
        end_error_seconds=_defined(end_error),
    )


def _segment_auc(known: Sequence[ScoredItem]) -> Estimate | None:
    rows = [
        (label, segment.fake_prob, one.item.source)
        for one in known
        for segment, label in zip(
            one.score.segments,
            metrics.segment_labels([(g.start, g.end) for g in one.score.segments], one.item.forged or ()),
        )
        if label is not None
    ]
    truth = np.array([label for label, _, _ in rows], bool)
    values = np.array([p for _, p, _ in rows], np.float64)
    if truth.all() or not truth.any():
        return None
    return _resampled(metrics.auc(truth, values), truth, values, [source for _, _, source in rows])


def compare(a: Sequence[ScoredItem], b: Sequence[ScoredItem]) -> Comparison:
    """Hold two detectors' scores of the same items against each other; items that only one has are left out.

    Raises InputError where their truths differ, and where nothing of both classes was decided by both.
    """
    others = {s.item.id: s for s in b}
    pairs = [(s, others[s.item.id]) for s in a if s.item.id in others]
    for x, y in pairs:
        if x.item.is_fake != y.item.is_fake:
            raise InputError(f"{x.item.id} is called genuine by one score file and fake by the other")
    decided = [(x, y) for x, y in pairs if x.score.fake_prob is not None and y.score.fake_prob is not None]
    truth = np.array([x.item.is_fake for x, _ in decided], bool)
    if truth.all() or not truth.any():
        raise InputError(
            "there are no items of both classes that both detectors decided; compare runs on the same data"
        )
    first = np.array([x.score.fake_prob for x, _ in decided], np.float64)
    second = np.array([y.score.fake_prob for _, y in decided], np.float64)
    sources = [x.item.source for x, _ in decided]
    test = metrics.delong(truth, first, second)
    low, high = metrics.bootstrap_difference(metrics.auc, truth, first, second, sources, seed=SEED)
    return Comparison(
        real=int((~truth).sum()),
        fake=int(truth.sum()),
        only_a=sum(x.score.fake_prob is not None and y.score.fake_prob is None for x, y in pairs),
        only_b=sum(x.score.fake_prob is None and y.score.fake_prob is not None for x, y in pairs),
        neither=sum(x.score.fake_prob is None and y.score.fake_prob is None for x, y in pairs),
        auc_a=test.auc_a,
        auc_b=test.auc_b,
        difference=_estimate(test.difference, test.interval),
        p_value=_defined(test.p_value),
        difference_by_source=_estimate(test.difference, (low, high)),
    )


def _groups(scored: Sequence[ScoredItem]) -> Iterator[tuple[str, list[ScoredItem]]]:
    yield group_key(), list(scored)
    methods = sorted({s.item.method for s in scored if s.item.is_fake})
    compressions = sorted({s.item.compression for s in scored if s.item.compression is not None})
    for compression in compressions if len(compressions) > 1 else ():
        yield group_key(compression=compression), [s for s in scored if s.item.compression == compression]
    if len(methods) < 2:
        return
    for method in methods:
        part = [s for s in scored if not s.item.is_fake or s.item.method == method]
        yield group_key(method=method), part
        for compression in compressions if len(compressions) > 1 else ():
            chosen = [s for s in part if s.item.compression == compression]
            yield group_key(method=method, compression=compression), chosen


def _figures(scored: Sequence[ScoredItem], protocol: Protocol, threshold: float) -> Figures:
    decided = [s for s in scored if s.score.fake_prob is not None]
    undecided = [s.item.is_fake for s in scored if s.score.fake_prob is None]
    truth = np.array([s.item.is_fake for s in decided], bool)
    values = np.array([s.score.fake_prob for s in decided], np.float64)
    people = [s.item.identities for s in decided]
    return _assembled(
        truth,
        values,
        [s.item.source for s in decided],
        metrics.identity_groups(people) if any(people) else None,
        (undecided.count(False), undecided.count(True)),
        protocol,
        threshold,
    )


def _frame_figures(scored: Sequence[ScoredItem], protocol: Protocol, threshold: float) -> Figures:
    rows = [(s.item, frame) for s in scored for frame in s.score.frames]
    truth = np.array([_is_forged_at(item, frame.time) for item, frame in rows], bool)
    values = np.array([frame.fake_prob for _, frame in rows], np.float64)
    return _assembled(truth, values, [item.source for item, _ in rows], None, (0, 0), protocol, threshold)


def _is_forged_at(item: Item, seconds: float) -> bool:
    if item.forged is None:
        return item.is_fake
    return any(start <= seconds < end for start, end in item.forged)


def _assembled(
    truth: NDArray[np.bool_],
    values: NDArray[np.float64],
    sources: list[str],
    people: list[str] | None,
    undecided: tuple[int, int],
    protocol: Protocol,
    threshold: float,
) -> Figures:
    real, fake = int((~truth).sum()), int(truth.sum())
    area = metrics.auc(truth, values)
    ranked = real > 0 and fake > 0

    def ranking(figure: Callable[..., float], *arguments: float) -> float | None:
        return _defined(figure(truth, values, *arguments)) if ranked else None

    def deciding(figure: Callable[..., float], *arguments: object) -> float | None:
        return _defined(figure(truth, values, *arguments)) if len(truth) else None

    return Figures(
        items=real + fake + sum(undecided),
        real=real + undecided[0],
        fake=fake + undecided[1],
        no_decision_real=undecided[0],
        no_decision_fake=undecided[1],
        threshold=threshold,
        auc=_resampled(area, truth, values, sources) if ranked else None,
        auc_by_identity=_resampled(area, truth, values, people) if ranked and people else None,
        auc_bounds=metrics.auc_bounds(truth, values, *undecided) if ranked and any(undecided) else None,
        accuracy=deciding(metrics.accuracy, threshold),
        balanced_accuracy=ranking(metrics.balanced_accuracy, threshold),
        eer=ranking(metrics.eer),
        average_precision=ranking(metrics.average_precision),
        log_loss=deciding(metrics.log_loss, protocol.clip or (_EPSILON, 1 - _EPSILON)),
        tpr_at_fpr_1=ranking(metrics.tpr_at_fpr, 0.01),
        tpr_at_fpr_5=ranking(metrics.tpr_at_fpr, 0.05),
        weighted_precision=deciding(metrics.weighted_precision, threshold),
        ece=deciding(metrics.expected_calibration_error),
    )


def _resampled(area: float, truth: NDArray[np.bool_], values: NDArray[np.float64], groups: Sequence[str]) -> Estimate:
    """An AUC with its interval over groups; without one where a single group would give it no width."""
    if len(set(groups)) < 2:
        return Estimate(area)
    return _estimate(area, metrics.bootstrap_auc(truth, values, groups, seed=SEED))


def _estimate(value: float, interval: tuple[float, float]) -> Estimate:
    low, high = interval
    return Estimate(value) if math.isnan(low) or math.isnan(high) else Estimate(value, low, high)


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value
