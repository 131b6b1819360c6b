"""Kinds of manipulation: what is drawn to tell them apart, and what an encoder and the set's own head learn of them."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small import NAME, RECIPE, save_store, small_recipe, small_store

from vidguard.cli.app import run
from vidguard.detector import load_judge
from vidguard.errors import InputError, WeightsError
from vidguard.forge import KINDS, MANIPULATES, sample_kind
from vidguard.training import frames, samples
from vidguard.training.checkpoint import round_digest
from vidguard.training.frames import kind_loss, load_trained, train_encoder
from vidguard.training.kinds import Embedded, fit_head, half_pairs, kind_figures
from vidguard.training.listing import Row
from vidguard.training.material import Store
from vidguard.training.recipe import Draw, KindsRecipe, Recipe, Round, load_recipe, settings_of
from vidguard.training.samples import SampleStream, class_of
from vidguard.types import KINDS_OF_MANIPULATION
from vidguard.weights import enter_in_manifest, find_weights, read_passport, write_passport

NAMING_KINDS = (
    RECIPE.replace('datasets = ["dfdc"]', 'datasets = ["dfdc", "mesonet"]')
    .replace("degraded = 0.0", "degraded = 0.0\nkinds = true")
    .replace("[temporal]", "[kinds]\nsamples = 120\n\n[temporal]")
    .replace("epochs = 1", "epochs = 0")
)


def learning_kinds(recipe: Recipe) -> Recipe:
    """The same recipe with encoders that learn kinds."""
    return replace(recipe, encoders={name: replace(e, kinds=True) for name, e in recipe.encoders.items()})


def test_every_kind_of_forgery_stands_for_a_kind_of_manipulation() -> None:
    assert set(MANIPULATES) == set(KINDS)
    assert set(MANIPULATES.values()) == set(KINDS_OF_MANIPULATION) - {"generated"}  # nothing is made of nobody


def test_forgeries_are_drawn_so_that_kinds_of_manipulation_balance() -> None:
    rng = np.random.default_rng(0)
    drawn = [MANIPULATES[sample_kind(rng, mesh=True, by_manipulation=True)] for _ in range(3000)]
    assert all(0.29 < drawn.count(kind) / 3000 < 0.38 for kind in ("identity", "expression", "attribute"))
    without = {sample_kind(rng, mesh=False, by_manipulation=True) for _ in range(300)}
    assert without == {"self-blend", "swap", "attribute"}


def test_a_rows_class_counts_from_one_and_a_fake_of_unknown_kind_has_none() -> None:
    row = Row("a.jpg", "fake", "none", "dfdc", "train", "a")
    found = [class_of(replace(row, kind=kind)) for kind in (*KINDS_OF_MANIPULATION, "unspecified", "unknown", "")]
    assert found == [1, 2, 3, 4, -1, -1, -1]
    assert class_of(replace(row, label="real", kind="identity")) == 0


def test_the_stream_says_of_which_kind_each_sample_is(monkeypatch: pytest.MonkeyPatch) -> None:
    store = small_store()
    rows = tuple(replace(r, kind="generated") if r.is_fake and r.dataset == "mesonet" else r for r in store.rows)
    store = replace(store, rows=rows)
    mixture = (Draw("labelled", ("mesonet",), 1.0), Draw("labelled", ("dfdc",), 1.0))
    found = {(label, kind) for _, label, kind in itertools.islice(SampleStream(store, mixture, seed=0), 60)}
    assert found == {(0.0, 0), (1.0, 4), (1.0, -1)}
    made: list[str] = []
    real = samples.forge_kind
    monkeypatch.setattr(samples, "forge_kind", lambda kind, *rest: (made.append(kind), real(kind, *rest))[1])
    stream = SampleStream(store, (Draw("pairs", ("dfdc", "talkinghead"), 1.0),), seed=0, kinds=True)
    pairs = list(itertools.islice(stream, 40))
    assert [kind for *_, kind in pairs[::2]] == [0] * 20
    expected = [1 + KINDS_OF_MANIPULATION.index(MANIPULATES[name]) for name in made[:20]]
    assert [kind for *_, kind in pairs[1::2]] == expected
    assert {1, 3} <= set(expected)  # the made-up store has no meshes: no expressions


def test_fakes_of_unknown_kind_give_no_loss() -> None:
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    kinds = torch.tensor([0, -1, 4, -1, 2, -1])
    plain = logits.detach().numpy().astype(np.float64)
    by_row = np.log(np.exp(plain).sum(1)) - plain[np.arange(6), kinds.numpy()]
    loss = kind_loss(logits, kinds)
    assert loss.item() == pytest.approx(by_row[[0, 2, 4]].mean(), abs=1e-5)
    loss.backward()
    assert not logits.grad[kinds == -1].any()
    assert logits.grad[kinds != -1].any(1).all()
    assert kind_loss(logits, torch.full((6,), -1)).item() == 0.0


def test_an_encoder_learns_kinds_by_a_head_that_it_loses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[float] = []
    real = frames.kind_loss
    monkeypatch.setattr(frames, "kind_loss", lambda *a: (known.append(0.0), real(*a))[1])
    monkeypatch.setattr(frames, "RESUME_STEPS", 2)
    recipe = learning_kinds(small_recipe(Round(3, 1e-3), Round(2, 1e-3)))
    train_encoder(NAME, recipe, small_store(), tmp_path, say=lambda _: None, workers=0)
    assert len(known) == 5
    taught = load_trained(NAME, tmp_path).state_dict()
    assert not any("kinds" in key for key in taught)
    (tmp_path / "plain").mkdir()
    plain = small_recipe(Round(3, 1e-3), Round(2, 1e-3))
    train_encoder(NAME, plain, small_store(), tmp_path / "plain", say=lambda _: None, workers=0)
    assert len(known) == 5
    untaught = load_trained(NAME, tmp_path / "plain").state_dict()
    assert any(not torch.equal(taught[key], value) for key, value in untaught.items())


def test_settings_for_kinds_change_digests_only_where_they_are_used() -> None:
    plain = small_recipe(Round(3, 1e-3))
    assert "kinds" not in settings_of(plain)
    assert "kinds" not in settings_of(plain)["encoders"][NAME]
    assert settings_of(replace(plain, kinds=KindsRecipe(9)))["kinds"] == {"samples": 9}
    taught = learning_kinds(plain)
    assert settings_of(taught)["encoders"][NAME]["kinds"] is True
    assert round_digest(taught, NAME, 0, None) != round_digest(plain, NAME, 0, None)
    assert round_digest(replace(plain, kinds=KindsRecipe(9)), NAME, 0, None) == round_digest(plain, NAME, 0, None)


def test_a_set_of_an_encoder_that_learnt_kinds_is_named_so() -> None:
    assert load_recipe("detectors-v1").of_encoder("amtennet").name == "amtennet-kind"
    assert load_recipe("base-v1").of_encoder("efficientnet_lite0").name == "efficientnet_lite0"


def clouds(count: int, classes: tuple[int, ...], seed: int) -> Embedded:
    """Classes apart in two of six dimensions of very different size; the last dimension never moves."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(classes, count)
    angle = truth * 2 * np.pi / 5
    features = rng.normal(0, 1, (count, 6))
    features[:, :2] += 4 * np.stack([np.cos(angle), np.sin(angle)], 1)
    features *= (100.0, 0.01, 1.0, 1.0, 1.0, 0.0)
    return Embedded((features + 7).astype(np.float32), truth, tuple(str(k // 3) for k in range(count)))


def test_the_head_learns_classes_apart_and_its_figures_are_counted() -> None:
    head, chosen = fit_head(clouds(600, (0, 1, 2, 4), 0))
    assert chosen == [1, 2, 4]  # no attribute edits were seen: none is named
    assert head.weight.shape == (4, 6)
    other = clouds(300, (0, 1, 2, 3, 4), 1)
    figures = kind_figures(head, chosen, other)
    assert figures["classes"] == ["genuine", "identity", "expression", "generated"]
    said = head(torch.from_numpy(other.features)).argmax(1).numpy()
    by_class = []
    for row, number in zip(figures["confusion"], (0, 1, 2, 4)):
        answers = said[other.classes == number]
        assert row == [int((answers == k).sum()) for k in range(4)]
        by_class.append((answers == [0, 1, 2, 4].index(number)).mean())
    assert figures["accuracy"] == pytest.approx(np.mean(by_class), abs=1e-4)
    assert figures["accuracy"] > 0.95
    low, high = figures["accuracy_95"]
    assert low < figures["accuracy"] < high
    assert figures["samples"] == int((other.classes != 3).sum())


def test_rare_classes_weigh_as_much_as_common_ones() -> None:
    common, rare = clouds(2000, (0, 1), 0), clouds(20, (2,), 1)
    both = Embedded(
        np.concatenate([common.features, rare.features]),
        np.concatenate([common.classes, rare.classes]),
        common.sources + rare.sources,
    )
    confusion = np.array(kind_figures(*fit_head(both), clouds(300, (0, 1, 2), 2))["confusion"])
    assert (np.diag(confusion) / confusion.sum(1) > 0.9).all()


@pytest.mark.parametrize("classes", [(0, 1), (1, 2, 3)])
def test_too_few_kinds_are_refused(classes: tuple[int, ...]) -> None:
    with pytest.raises(
        InputError, match=r"genuine samples and as many of two kinds; there are .* 0 attribute|0 genuine"
    ):
        fit_head(clouds(100, classes, 0))


def test_half_of_what_the_head_is_fitted_to_comes_in_pairs() -> None:
    mixture = load_recipe("base-v1").mixture
    even = half_pairs(mixture)
    assert [replace(part, weight=1.0) for part in even] == [replace(part, weight=1.0) for part in mixture]
    pairs, others = (sum(p.weight for p in even if (p.draw == "pairs") == chosen) for chosen in (True, False))
    assert pairs == pytest.approx(others)
    assert half_pairs(mixture[:1]) == mixture[:1]


def store_of_kinds() -> Store:
    """The made-up store with swaps in one data set and generated faces in the other."""
    store, kinds = small_store(), {"dfdc": "identity", "mesonet": "generated"}
    rows = (replace(row, kind=kinds[row.dataset]) if row.is_fake else row for row in store.rows)
    return replace(store, rows=tuple(rows))


def test_a_set_that_names_kinds_from_recipe_to_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_store(tmp_path / "work" / "store", store_of_kinds())
    (tmp_path / "small.toml").write_text(NAMING_KINDS)
    places = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"), "--workers", "1"]
    command = ["train", str(tmp_path / "small.toml"), "--encoder", "mesoinception4", *places]
    assert run(command) == 0, capsys.readouterr().err
    entry = find_weights("mesoinception4-kind", tmp_path / "out")
    judge, passport = load_judge(entry)
    assert passport.kinds == judge.kind_names == ("identity", "generated")
    features = judge.encode(torch.from_numpy(small_store().crops[:3]).permute(0, 3, 1, 2))
    assert features.kind_logits is not None
    assert features.kind_logits.shape == (3, 3)
    card = (entry.folder / "CARD.md").read_text()
    assert "| | genuine | identity | generated | Samples |" in card
    capsys.readouterr()
    assert run(["models", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[-1]["kinds"] == ["identity", "generated"]
    kept = (tmp_path / "work" / "kinds.safetensors").stat().st_mtime_ns
    (entry.folder / "passport.json").unlink()
    assert run(command) == 0  # exported anew, not fitted anew
    assert (tmp_path / "work" / "kinds.safetensors").stat().st_mtime_ns == kept
    write_passport(entry.folder, replace(passport, kinds=()))
    entry = enter_in_manifest(tmp_path / "out", entry.name, "", "")
    with pytest.raises(WeightsError, match="don't fit its passport"):
        load_judge(entry)


def test_a_passport_from_before_kinds_names_none(tmp_path: Path) -> None:
    shipped = find_weights("open-v1")
    text = json.loads((shipped.folder / "passport.json").read_text())
    text.pop("kinds", None)
    (tmp_path / "old").mkdir()
    for file in shipped.folder.glob("*.safetensors"):
        (tmp_path / "old" / file.name).symlink_to(file)
    (tmp_path / "old" / "passport.json").write_text(json.dumps(text))
    assert read_passport(enter_in_manifest(tmp_path, "old", "", "")).kinds == ()
