"""Which part of a data set is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vidguard.errors import InputError


@dataclass(frozen=True)
class LayoutOptions:
    """The split, and optionally some forging methods and compressions only; genuine items always come along."""

    split: str = "test"
    """One of the layout's splits, or "all": everything there is, whichever list names it."""
    methods: tuple[str, ...] | None = None
    """None: every method the split has."""
    compressions: tuple[str, ...] | None = None
    """None: every compression that is there. Only FaceForensics++ has several."""

    def __post_init__(self) -> None:
        """Refuse an empty choice, which would look like a data set without videos."""
        if self.methods == () or self.compressions == ():
            raise InputError("methods and compressions must name something; None stands for all of them")

    def require(self, dataset: str, *, splits: Sequence[str], compressions: Sequence[str] = ()) -> None:
        """Raise InputError for a split or compression that the data set doesn't have."""
        if self.split not in splits:
            raise InputError(f"{dataset} has no split {self.split!r}; choose one of {', '.join(splits)}")
        unknown = sorted(set(self.compressions or ()) - set(compressions))
        if unknown:
            choice = f"choose of {', '.join(compressions)}" if compressions else "it comes in one version only"
            raise InputError(f"{dataset} has no compression {unknown[0]!r}; {choice}")
