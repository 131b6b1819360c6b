"""Videos of which only the label is known: when they are forged is for the transformer to find out."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from small import NAME, RECIPE, save_store, small_store

from vidguard.detector import Judge
from vidguard.encoders import ENCODERS
from vidguard.scoring.windows import FrameTokens
from vidguard.temporal import TemporalTransformer
from vidguard.training.listing import Row
from vidguard.training.material import Store
from vidguard.training.pipeline import train
from vidguard.training.recipe import TemporalRecipe, load_recipe
from vidguard.training.sequences import Sequence, labelled_fakes, load_sequences, save_sequences
from vidguard.training.temporal import Batch, _loss, collate, train_temporal


def with_fake_videos(store: Store, people: dict[str, int]) -> Store:
    """The store with a fake video more for every name, each with so many people, ten frames of each."""
    rows, chosen = list(store.rows), list(range(len(store.rows)))
    for name, count in people.items():
        for track in range(count):
            for i in range(10):
                rows.append(Row(f"{name}.mp4", "fake", "identity", "web", "train", name, track, i / 8))
                chosen.append(i)
    return Store(store.crops[chosen], store.landmarks[chosen], tuple(rows))


def partly_forged(count: int, seed: int, *, located: bool) -> list[Sequence]:
    """People with an offset each; of every second clip a third is forged, which logits show faintly."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(count):
        is_fake = np.zeros(24, bool)
        is_fake[8:16] = k % 2 == 1
        embedding = torch.from_numpy(rng.normal(0, 0.3, (24, ENCODERS[NAME].embedding_dim))).float()
        embedding[:, 0] += torch.from_numpy(is_fake).float() * 6 - 3
        logits = (rng.normal(0, 1, (24, 1)) + rng.normal(0, 2) + 1.5 * is_fake[:, None]).astype(np.float32)
        tokens = FrameTokens({NAME: embedding}, torch.from_numpy(logits)[:, 0], torch.arange(24).double() / 8)
        told = np.full(24, k % 2 == 1) if not located else is_fake
        found.append(Sequence(tokens, logits, told, np.ones_like(told), f"s{k}", "web", located or k % 2 == 0))
    return found


def test_fake_videos_of_one_person_come_as_clips_whose_forged_frames_are_unknown() -> None:
    store = with_fake_videos(small_store(), {"one": 1, "two": 2, "passing": 2})
    store = Store(store.crops[:-9], store.landmarks[:-9], store.rows[:-9])  # of the last face one frame is left
    judge = Judge((NAME,), {}).eval()
    found = list(labelled_fakes(store, judge, split="train", seed=0))
    assert [(s.source, s.located, len(s.tokens)) for s in found] == [("one", False, 10)]
    assert found[0].is_fake.all()
    assert list(labelled_fakes(store, judge, split="val", seed=0)) == []


def test_what_is_unknown_of_a_clip_is_kept_in_its_file(tmp_path: Path) -> None:
    clips = partly_forged(4, 0, located=False)
    save_sequences(tmp_path / "clips.safetensors", clips)
    assert [s.located for s in load_sequences(tmp_path / "clips.safetensors")] == [True, False, True, False]


def test_frames_of_unknown_truth_teach_only_through_their_window() -> None:
    torch.manual_seed(0)
    model = TemporalTransformer((NAME,))
    clips = partly_forged(2, 0, located=False)
    batch = collate(clips, [s.tokens.frame_logits for s in clips], np.random.default_rng(0))
    assert int(batch.valid[1].sum()) == 24  # the whole clip: a part of it might miss what is forged
    output = model(batch.embeddings, batch.logits, batch.times, batch.valid)
    truth = torch.nn.functional.binary_cross_entropy_with_logits
    genuine = truth(output.frame_logits[0][batch.valid[0]], torch.zeros(int(batch.valid[0].sum())))
    windows = truth(output.window_logits, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(_loss(model, batch), genuine + 0.5 * windows)
    unknown = Batch(*(part if isinstance(part, dict) else part[1:] for part in batch))
    unknown = unknown._replace(embeddings={n: e[1:] for n, e in batch.embeddings.items()})
    torch.testing.assert_close(_loss(model, unknown), 0.5 * truth(output.window_logits[1], torch.tensor(1.0)))


def test_the_transformer_learns_from_labels_of_whole_clips() -> None:
    torch.manual_seed(0)
    judge = Judge((NAME,), {}).eval()
    with torch.no_grad():
        judge.fusion.weight.fill_(1.0)
        judge.fusion.bias.zero_()
    settings = TemporalRecipe(1, 25, 16, 2e-3, 0.0)
    validation = partly_forged(24, 1, located=True)
    training = partly_forged(64, 0, located=False)
    history = train_temporal(judge, training, validation, settings, seed=0, log=io.StringIO())
    assert min(history) < 0.95 * history[0]


def test_the_stages_take_videos_that_are_labelled_fake(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    recipe = load_recipe(str(tmp_path / "recipe.toml"))
    recipe = replace(recipe, encoders={NAME: recipe.encoders[NAME]})
    save_store(tmp_path / "work" / "store", with_fake_videos(small_store(), {"one": 1}))
    train(recipe, [], tmp_path / "work", tmp_path / "weights", only=None, workers=0, show=lambda _: None)
    training = load_sequences(tmp_path / "work" / "sequences.temporal.safetensors")
    assert [s.source for s in training if not s.located] == ["one"]
    assert (tmp_path / "weights" / "several" / "passport.json").is_file()
