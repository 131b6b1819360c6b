"""Figures of merit on plain arrays. True means fake, a higher score means more likely fake, NaN means undefined.

An item without a decision is no score: leave it out, report how many were left out, and let `auc_bounds` say how far
they could move the figure.
"""

from __future__ import annotations

from vidguard.metrics.calibration import (
    ReliabilityBin,
    RiskCoverage,
    expected_calibration_error,
    reliability,
    risk_coverage,
)
from vidguard.metrics.comparison import DeLong, bootstrap_difference, delong
from vidguard.metrics.decisions import (
    accuracy,
    balanced_accuracy,
    log_loss,
    log_weighted_precision,
    weighted_precision,
)
from vidguard.metrics.intervals import (
    Statistic,
    bootstrap,
    bootstrap_auc,
    clopper_pearson_interval,
    identity_groups,
    wilson_interval,
)
from vidguard.metrics.ranking import (
    Det,
    Roc,
    auc,
    auc_bounds,
    average_precision,
    det_curve,
    eer,
    roc_curve,
    tpr_at_fpr,
)
from vidguard.metrics.temporal import (
    SegmentMatch,
    match_segments,
    merge_intervals,
    pool_matches,
    segment_labels,
    temporal_iou,
)

__all__ = [
    "DeLong",
    "Det",
    "ReliabilityBin",
    "RiskCoverage",
    "Roc",
    "SegmentMatch",
    "Statistic",
    "accuracy",
    "auc",
    "auc_bounds",
    "average_precision",
    "balanced_accuracy",
    "bootstrap",
    "bootstrap_auc",
    "bootstrap_difference",
    "clopper_pearson_interval",
    "delong",
    "det_curve",
    "eer",
    "expected_calibration_error",
    "identity_groups",
    "log_loss",
    "log_weighted_precision",
    "match_segments",
    "merge_intervals",
    "pool_matches",
    "reliability",
    "risk_coverage",
    "roc_curve",
    "segment_labels",
    "temporal_iou",
    "tpr_at_fpr",
    "weighted_precision",
    "wilson_interval",
]
