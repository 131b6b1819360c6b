"""The nouns of a benchmark's result: who was asked what, on which data, and the figures; JSON that round-trips.

Figures are undefined (None) rather than invented: a ranking needs both classes, a share needs something to share.
"""

from __future__ import annotations

from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from vidguard.errors import InputError, ReportFormatError
from vidguard.files import write_whole
from vidguard.protocols.items import Item
from vidguard.protocols.scores import Score
from vidguard.text import printable_json
from vidguard.types import require_plain

RESULT_SCHEMA_VERSION: Final = 1
POOLED: Final = "pooled"
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


def group_key(method: str | None = None, compression: str | None = None) -> str:
    """Key of a group in `Result.figures`: "pooled", "method:M", "compression:C" or "method:M compression:C".

    A method's group holds its fakes and every genuine item; a compression's group holds that compression only.
    """
    parts = [f"{kind}:{name}" for kind, name in (("method", method), ("compression", compression)) if name is not None]
    return " ".join(parts) or POOLED


@plain_dataclass(frozen=True)
class ScoredItem:
    """An item and what the detector said of it."""

    item: Item
    score: Score

    def __post_init__(self) -> None:
        """Refuse a score that belongs to another item."""
        if self.item.id != self.score.id:
            raise InputError(f"the score of {self.score.id} was paired with the item {self.item.id}")


@dataclass(frozen=True, config=_STRICT)
class Estimate:
    """A figure with its 95 % interval; the interval's ends are both None where too few groups could be resampled."""

    value: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        """Refuse half an interval, and one that is upside down."""
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has two ends or none")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"the interval's low end {self.low} lies above its high end {self.high}")


@dataclass(frozen=True, config=_STRICT)
class Figures:
    """What was measured on one group of items. Undecided items are counted, and are in no other figure.

    Definitions are those of `vidguard.metrics`; each is None where it is undefined.
    """

    items: Count
    real: Count
    """Genuine items, decided or not."""
    fake: Count
    no_decision_real: Count
    no_decision_fake: Count
    threshold: Share
    """Decided items at or above it count as called fake."""
    auc: Estimate | None = None
    """Interval: bootstrap over sources, so a video and what was made from it are drawn together."""
    auc_by_identity: Estimate | None = None
    """The same value with a bootstrap over identities; None where the data set names none."""
    auc_bounds: tuple[Share, Share] | None = None
    """Lowest and highest AUC that any scores of the undecided items could have given."""
    accuracy: Share | None = None
    balanced_accuracy: Share | None = None
    eer: Share | None = None
    average_precision: Share | None = None
    log_loss: float | None = None
    tpr_at_fpr_1: Share | None = None
    tpr_at_fpr_5: Share | None = None
    weighted_precision: Share | None = None
    ece: Share | None = None

    def __post_init__(self) -> None:
        """Refuse counts that don't add up, and an AUC without two classes."""
        if self.items != self.real + self.fake:
            raise ValueError(f"{self.items} items, but {self.real} genuine and {self.fake} fake")
        if self.no_decision_real > self.real or self.no_decision_fake > self.fake:
            raise ValueError("more items without a decision than items")
        if self.auc is not None and not (self.decided_real and self.decided_fake):
            raise ValueError("an AUC needs decided items of both classes")

    @property
    def decided_real(self) -> int:
        """Genuine items with a probability."""
        return self.real - self.no_decision_real

    @property
    def decided_fake(self) -> int:
        """Fake items with a probability."""
        return self.fake - self.no_decision_fake

    @property
    def no_decision(self) -> int:
        """Items without a probability."""
        return self.no_decision_real + self.no_decision_fake


@dataclass(frozen=True, config=_STRICT)
class SegmentFigures:
    """How well forged stretches were found, on the items whose forged stretches are known."""

    items: Count
    iou_threshold: Share
    """A found stretch counts as right if it overlaps a true one this much."""
    precision: Share | None
    recall: Share | None
    f1: Share | None
    temporal_iou: Share | None
    """Mean over items with a forged stretch of intersection over union of found and true time."""
    auc: Estimate | None = None
    """Of single segments: fake where at least half is forged, genuine where nothing is, others left out."""
    start_error_seconds: float | None = None
    """Mean absolute error of where matched stretches begin."""
    end_error_seconds: float | None = None


@dataclass(frozen=True, config=_STRICT)
class DetectorInfo:
    """The detector under test."""

    name: str
    sha256: str | None = None
    """Of its weights; None for a detector that is known by its score file alone."""
    settings: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, config=_STRICT)
class Coverage:
    """How much of the split was there."""

    found: Count
    missing: tuple[str, ...] = ()
    """Ids that the official lists name and the copy lacks."""
    notes: tuple[str, ...] = ()
    found_by_method: dict[str, Count] = Field(default_factory=dict)
    expected_by_method: dict[str, Count] = Field(default_factory=dict)
    """Of the complete split; empty where no list says."""

    @property
    def share(self) -> float:
        """Found items among those found and missing, 0..1."""
        total = self.found + len(self.missing)
        return self.found / total if total else 0.0


@dataclass(frozen=True, config=_STRICT)
class Result:
    """One detector on one split by one protocol."""

    dataset: str
    split: str
    unit: Literal["video", "still", "sequence", "item"]
    """What one item is; "item" for a mixture."""
    protocol: dict[str, Any]
    """`Protocol.as_dict()`."""
    detector: DetectorInfo
    coverage: Coverage
    environment: dict[str, Any]
    """Commit, versions, machine, seed."""
    item_seconds: Annotated[float, Field(ge=0.0, le=1e12)]
    """Time spent on the items, summed over workers and over resumptions."""
    figures: dict[str, Figures]
    """By `group_key`, at the level of whole items; "pooled" is always there."""
    scores_file: str
    """Name of the file with every score, beside this result."""
    frame_figures: dict[str, Figures] = Field(default_factory=dict)
    """The same over single frames. Never to be mixed with the items' figures."""
    segment_figures: SegmentFigures | None = None
    schema_version: Literal[1] = RESULT_SCHEMA_VERSION

    def __post_init__(self) -> None:
        """Refuse a nameless protocol, and figures that leave out items that were found."""
        if not isinstance(self.protocol.get("name"), str):
            raise ValueError("the protocol has no name")
        for values in (self.protocol, self.environment, self.detector.settings):
            require_plain(values)
        if self.scores_file in ("", ".", "..") or set(self.scores_file) & set("/\\:\0"):
            raise ValueError("the scores' file must lie beside the result, so be a name without folders")
        if POOLED not in self.figures:
            raise ValueError('the figures lack "pooled"')
        if self.pooled.items != self.coverage.found:
            raise ValueError(f"{self.coverage.found} items were found, but {self.pooled.items} are in the figures")

    @property
    def pooled(self) -> Figures:
        """The figures over all items."""
        return self.figures[POOLED]

    def to_json(self, *, indent: int | None = 2) -> str:
        """Serialise; `from_json` gives an equal result back."""
        return printable_json(_adapter().dump_json(self, indent=indent).decode())

    @staticmethod
    def from_json(text: str | bytes) -> Result:
        """Read what `to_json` wrote. Raises ReportFormatError on anything else."""
        try:
            return _adapter().validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the text"
            raise ReportFormatError(
                f"not a benchmark result of schema {RESULT_SCHEMA_VERSION}: {where}: {first['msg']}; "
                "pass a result.json that `vidguard benchmark` wrote"
            ) from error

    def save_json(self, path: str | Path) -> None:
        """Write `to_json` to a file, whole or not at all."""
        write_whole(path, self.to_json().encode())


@dataclass(frozen=True, config=_STRICT)
class Comparison:
    """Two detectors, a and b, on the items that both of them decided."""

    real: Count
    fake: Count
    only_a: Count
    """Items that a decided and b didn't; they are in no figure here."""
    only_b: Count
    neither: Count
    auc_a: Share
    auc_b: Share
    difference: Estimate
    """auc_a - auc_b with the interval of the paired DeLong test, which takes items as independent."""
    p_value: Share | None
    """Of the paired DeLong test, two-sided; None where the test is undefined."""
    difference_by_source: Estimate | None = None
    """The same difference with a paired bootstrap over sources."""


@dataclass(frozen=True, config=_STRICT)
class RobustnessRow:
    """Figures of all items under one corruption at one level; "none" is the items as they are."""

    corruption: str
    level: str
    unit: str
    figures: Figures


@dataclass(frozen=True, config=_STRICT)
class Robustness:
    """One detector on one split under corruptions; each row's full result lies in a folder of its own."""

    dataset: str
    split: str
    protocol: dict[str, Any]
    detector: str
    rows: tuple[RobustnessRow, ...]
    """The first one is that of the items as they are."""

    def to_json(self) -> str:
        """Serialise."""
        return printable_json(TypeAdapter(Robustness).dump_json(self, indent=2).decode())


def _adapter() -> TypeAdapter[Result]:
    return TypeAdapter(Result)
