"""A few hundred damaged files, as benchmarks/robustness/mutants.py reads thousands of."""

from __future__ import annotations

from mutants import SOUND, mutant, run

_COUNT = 300


def test_a_mutant_is_the_same_whenever_it_is_made() -> None:
    data = bytes(range(256)) * 64
    made = [mutant(data, "seed", number) for number in range(20)]
    assert made == [mutant(data, "seed", number) for number in range(20)]
    assert sum(changed != data for changed in made) >= 19
    assert mutant(data, "another seed", 3) != made[3]


def test_every_damaged_file_ends_with_frames_or_a_typed_error_and_leaves_nothing_open() -> None:
    endings = list(run(_COUNT, workers=1))
    assert len(endings) == _COUNT
    assert [e for e in endings if e.outcome not in SOUND] == []
    assert len({e.outcome for e in endings}) == len(SOUND), "damage that nothing notices tests nothing"
    assert len({e.descriptors for e in endings}) == 1
    assert endings[-1].megabytes - endings[len(endings) // 3].megabytes < 400
