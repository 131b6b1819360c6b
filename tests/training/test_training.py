"""The training stages on a few made-up crops: every stage runs, splits hold, and an exported set loads and answers."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut
from small import small_store

from vidguard.detector import Judge, load_judge
from vidguard.encoders import CROP, ENCODERS
from vidguard.errors import InputError
from vidguard.faces import template_landmarks
from vidguard.scoring.calibration import Calibration, Platt
from vidguard.scoring.windows import FrameTokens
from vidguard.training import material
from vidguard.training import recipe as recipes
from vidguard.training.calibrate import calibrate, fit_fusion, score_sequence
from vidguard.training.export import export, golden, passport_of, write_card
from vidguard.training.listing import Row, list_material, require_disjoint
from vidguard.training.material import Store, build_store
from vidguard.training.pipeline import learnt_from
from vidguard.training.recipe import Draw, MaterialRecipe, Recipe, load_recipe
from vidguard.training.samples import SampleStream
from vidguard.training.sequences import MIN_FRAMES, Sequence, forged_sequences
from vidguard.training.temporal import collate, in_few_dimensions, train_temporal
from vidguard.weights import find_weights, read_tensors


def test_shipped_recipes_load_and_a_misspelt_one_is_refused(tmp_path: Path) -> None:
    recipe = load_recipe("base-v1")
    assert set(recipe.encoders) <= set(ENCODERS)
    assert sum(part.weight for part in recipe.mixture) == pytest.approx(1.0)
    with pytest.raises(InputError, match="base-v1"):
        load_recipe("nonesuch")
    (tmp_path / "odd.toml").write_text('nmae = "x"')
    with pytest.raises(InputError, match="not a recipe"):
        load_recipe(str(tmp_path / "odd.toml"))


@pytest.mark.parametrize(
    ("there", "wrong", "key"),
    [
        ('name = "base-v1"', f'name = "{"x" * 65}"', "can't be called"),
        ('name = "base-v1"', 'name = "manifest.toml"', "can't be called"),
        ("seed = 20261121", "seed = -1", "seed"),
        ("video_frames_per_second = 8.0", "video_frames_per_second = 0.0", r"material\.video_frames_per_second"),
        ("max_frames_per_track = 64", "max_frames_per_track = 0", r"material\.max_frames_per_track"),
        ("weight = 0.15", "weight = -0.15", r"mixture\.0\.weight"),
        ("weight = 0.15", "weight = inf", r"mixture\.0\.weight"),
        ("steps = 1900", "steps = 0", r"encoders\.efficientnet_lite0\.rounds\.0\.steps"),
        ("learning_rate = 4.0e-4", "learning_rate = nan", r"rounds\.1\.learning_rate"),
        ("weight_decay = 0.02", "weight_decay = -0.02", "weight_decay"),
        ("ema_decay = 0.995", "ema_decay = 1.0", r"efficientnet_lite0\.ema_decay"),
        ("last_round_share = 0.7", "last_round_share = 1.0", r"efficientnet_lite0\.last_round_share"),
        ("batch = 64", "batch = 64\ndegraded = 25", r"efficientnet_lite0\.degraded"),
        ("batch = 32", "batch = 0", r"temporal\.batch"),
        ("epochs = 12", "epochs = -1", r"temporal\.epochs"),
        ("forgeries_per_track = 3", "forgeries_per_track = 0", r"temporal\.forgeries_per_track"),
    ],
)
def test_a_recipes_name_and_numbers_are_checked_before_anything_runs(
    tmp_path: Path, there: str, wrong: str, key: str
) -> None:
    text = (Path(recipes.__file__).parent / "recipes" / "base-v1.toml").read_text("utf-8")
    assert there in text
    (tmp_path / "odd.toml").write_text(text.replace(there, wrong), "utf-8")
    with pytest.raises(InputError, match=rf"(?s)odd\.toml is not a recipe: .*{key}"):
        load_recipe(str(tmp_path / "odd.toml"))


def write_manifest(path: Path, rows: list[tuple[str, ...]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("path", "label", "kind", "dataset", "split", "group"), *rows])
    return path


def reserving(validation: tuple[str, ...], temporal: tuple[str, ...] = ()) -> MaterialRecipe:
    return MaterialRecipe(8.0, 64, validation, False, temporal)


def test_a_source_in_two_splits_is_refused_and_development_is_left_out(tmp_path: Path) -> None:
    rows = [
        ("a.jpg", "real", "none", "d", "train", "g1"),
        ("b.mp4", "fake", "none", "d", "dev", "g2"),
        ("c.mp4", "real", "none", "d", "train", "g3"),
    ]
    manifest = write_manifest(tmp_path / "m.csv", rows)
    for name in ("a.jpg", "d.jpg"):
        (tmp_path / name).touch()
    found = [row for _, row in list_material([manifest], reserving(("g3",)))]
    assert [(r.path, r.split) for r in found] == [("a.jpg", "train"), ("c.mp4", "val")]
    second = write_manifest(tmp_path / "n.csv", [("d.jpg", "fake", "none", "d", "val", "g1")])
    with pytest.raises(InputError, match="two splits"):
        list_material([manifest, second], reserving(()))
    with pytest.raises(InputError, match="g9"):
        require_disjoint(found, ("g9",))
    reserved = list_material([manifest], reserving((), ("g1",)))
    assert [(r.path, r.split) for _, r in reserved] == [("a.jpg", "temporal"), ("c.mp4", "train")]


def test_a_store_holds_the_faces_of_what_can_be_read(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), cv2.cvtColor(astronaut(), cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(tmp_path / "sky.png"), np.full((64, 80, 3), 180, np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    listed = [("face.png", "lfw"), ("sky.png", "lfw"), ("sky.png", "dfdc"), ("broken.jpg", "dfdc"), ("gone.mp4", "d")]
    rows = [(path, "real", "none", dataset, "train", f"g{k}") for k, (path, dataset) in enumerate(listed)]
    manifest = write_manifest(tmp_path / "m.csv", rows)
    said: list[str] = []
    found = list_material([manifest], reserving(()))
    store = build_store(found, tmp_path / "store", reserving(()), workers=1, say=said.append)
    assert said == ["prepare: of 5 listed files 1 are missing, 1 couldn't be read, 1 gave no face"]
    assert [(row.path, row.dataset) for row in store.rows] == [("face.png", "lfw"), ("sky.png", "dfdc")]
    assert store.crops.shape == (2, 224, 224, 3)
    assert (store.crops[1] == 180).all()
    # a face found is where the template puts it; a crop without one is taken whole
    assert np.abs(store.landmarks[0] - template_landmarks(CROP).numpy()).max() < 12
    assert np.isnan(store.landmarks[1]).all()


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), RuntimeError("decoder trouble"), MemoryError()])
def test_whatever_a_file_leads_to_it_costs_its_own_faces_alone(tmp_path: Path, monkeypatch, error: Exception) -> None:
    def trouble(*_: object, **__: object) -> None:
        raise error

    path = tmp_path / "face.png"
    cv2.imwrite(str(path), np.zeros((64, 64, 3), np.uint8))
    row = Row("face.png", "real", "none", "lfw", "train", "g", 0, 0.0)
    monkeypatch.setattr(material, "_detector", lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr("vidguard.video.pillow_reader._identify", trouble)
        assert material._faces_of(reserving(()), (path, row)) == "couldn't be read"
    monkeypatch.setattr(material, "_still_face", trouble)
    assert material._faces_of(reserving(()), (path, row)) == "found a defect of vidguard"


def test_tracks_of_two_data_sets_stay_apart() -> None:
    rows = [Row("a.mp4", "real", "none", d, "train", d, 0, k / 8) for k in range(4) for d in ("x", "y")]
    store = Store(np.zeros((8, 224, 224, 3), np.uint8), np.zeros((8, 5, 2), np.float32), tuple(rows))
    assert [track.tolist() for track in store.tracks(split="train", minimum=2)] == [[0, 2, 4, 6], [1, 3, 5, 7]]


def test_a_person_is_never_their_own_donor() -> None:
    rows = [Row(f"{k}.jpg", "real", "none", "dfdc", "train", "one" if k < 5 else "two") for k in range(6)]
    crops = np.stack([np.full((64, 64, 3), 40 * k, np.uint8) for k in range(6)])
    store = Store(crops, np.zeros((6, 5, 2), np.float32), tuple(rows))
    stream = SampleStream(store, (Draw("pairs", ("dfdc",), 1.0),), seed=0)
    rng, pool = np.random.default_rng(0), np.arange(6)
    found = [stream._donor(0, store.face(0), pool, rng) for _ in range(40)]
    assert {None if donor is None else int(donor.image[0, 0, 0]) for donor in found} == {None, 200}


def test_learnt_from_is_what_is_drawn_and_what_the_transformer_follows() -> None:
    recipe = load_recipe("base-v1")
    rows = [Row("a.jpg", "real", "none", d, s, d) for d, s in (("dfdc", "train"), ("other", "train"), ("v", "val"))]
    rows += [Row("a.mp4", "real", "none", "z", "temporal", "z", 0, k / 8) for k in range(MIN_FRAMES)]
    rows += [Row("b.mp4", "fake", "identity", "web", "temporal", "b", 0, k / 8) for k in range(MIN_FRAMES)]
    store = Store(np.zeros((len(rows), 2, 2, 3), np.uint8), np.zeros((len(rows), 5, 2), np.float32), tuple(rows))
    assert learnt_from(recipe, store) == ("dfdc", "web", "z")


def test_samples_are_seeded_and_pairs_come_real_then_fake() -> None:
    store = small_store()
    pairs = (Draw("pairs", ("talkinghead",), 1.0),)

    def draw(seed: int) -> list[tuple[torch.Tensor, float, int]]:
        stream = iter(SampleStream(store, pairs, seed=seed))
        return [next(stream) for _ in range(6)]

    first, again, other = draw(1), draw(1), draw(2)
    assert [label for _, label, _ in first] == [0.0, 1.0] * 3
    assert all(torch.equal(a, b) for (a, *_), (b, *_) in zip(first, again))
    assert not all(torch.equal(a, b) for (a, *_), (b, *_) in zip(first, other))
    assert all(crop.shape == (3, 224, 224) and crop.dtype == torch.uint8 for crop, *_ in first)


def test_training_samples_never_come_from_validation() -> None:
    store = small_store()
    for draw in ("labelled", "pairs"):
        stream = SampleStream(store, (Draw(draw, ("dfdc", "talkinghead"), 1.0),), seed=0)  # type: ignore[arg-type]
        used = np.concatenate(stream.pools[0])
        assert {store.rows[i].split for i in used} == {"train"}


def made_up(judge: Judge, count: int, seed: int) -> list[Sequence]:
    """Sequences whose truth is in the embeddings but not in the frame logits: only a trained transformer can tell."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(count):
        is_fake = np.zeros(16, bool)
        if k % 2:
            is_fake[4:12] = True
        embeddings = {
            n: torch.from_numpy(rng.normal(0, 0.3, (16, ENCODERS[n].embedding_dim))).float() for n in judge.names
        }
        for e in embeddings.values():
            e[:, 0] += torch.from_numpy(is_fake).float() * 6 - 3
        logits = (rng.normal(0, 1, (16, len(judge.names))) + 0.2 * is_fake[:, None]).astype(np.float32)
        tokens = FrameTokens(embeddings, torch.from_numpy(logits).mean(1), torch.arange(16, dtype=torch.float64) / 8)
        found.append(Sequence(tokens, logits, is_fake, np.ones_like(is_fake), f"s{k}", "dfdc"))
    return found


def made_up_people(judge: Judge, count: int, seed: int) -> list[Sequence]:
    """Sequences of people who each have an offset of their own: what is forged shows beside their other frames."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(count):
        is_fake = np.zeros(24, bool)
        if k % 2:
            is_fake[8:16] = True
        embeddings = {
            n: torch.from_numpy(rng.normal(0, 0.3, (24, ENCODERS[n].embedding_dim))).float() for n in judge.names
        }
        for e in embeddings.values():
            e[:, 0] += torch.from_numpy(is_fake).float() * 6 - 3
        noise = rng.normal(0, 1, (24, len(judge.names))) + rng.normal(0, 2)
        logits = (noise + 1.5 * is_fake[:, None]).astype(np.float32)
        tokens = FrameTokens(embeddings, torch.from_numpy(logits).mean(1), torch.arange(24, dtype=torch.float64) / 8)
        found.append(Sequence(tokens, logits, is_fake, np.ones_like(is_fake), f"s{k}", "dfdc"))
    return found


def test_the_transformer_learns_and_an_exported_set_answers_like_the_trained_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    judge = Judge(("mesoinception4",), {}).eval()
    training, validation = made_up_people(judge, 64, 0), made_up_people(judge, 24, 1)
    fit_fusion(judge, validation)
    before = calibrate(judge, validation)[1]["segment"]["pristine clips and forgeries"]["auc"]
    settings = type(load_recipe("base-v1").temporal)(1, 25, 16, 2e-3, 0.0)
    with (tmp_path / "log").open("w") as log:
        history = train_temporal(judge, training, validation, settings, seed=0, log=log)
    calibration, figures = calibrate(judge, validation)
    assert before < 0.8 < figures["segment"]["pristine clips and forgeries"]["auc"]
    assert isinstance(calibration.segment, Platt)
    recipe = load_recipe("base-v1")
    assert min(history) < history[0]
    shown = {"validation": figures, "encoders": {}, "temporal": {"validation_loss_by_epoch": history}}
    export(judge, passport_of(judge, recipe, calibration, shown, ("made up",)), recipe, tmp_path)
    write_card(tmp_path, recipe.name)
    entry = find_weights(folder=tmp_path)
    stored = read_tensors(entry)
    assert {v.dtype for v in stored.values() if v.ndim >= 2} == {torch.float16}
    loaded, passport = load_judge(entry)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert passport.calibration == calibration
    for key, value in golden(judge).items():
        # memory formats differ between the two, and with them the order of sums
        torch.testing.assert_close(golden(loaded)[key], value, atol=1e-3, rtol=1e-3)


def test_enough_sources_give_rules_that_the_card_shows(tmp_path: Path) -> None:
    torch.manual_seed(0)
    judge = Judge(("mesoinception4",), {}).eval()
    clips = made_up(judge, 160, 1)
    # crops of each class, as validation has them
    whole = [replace(s, is_fake=np.full(16, k % 2 == 1)) for k, s in enumerate(clips)]
    crops = [replace(s, tokens=s.tokens[:1], logits=s.logits[:1], is_fake=s.is_fake[:1]) for s in whole]
    told = [replace(s, logits=(s.logits + 2 * s.is_fake[:, None]).astype(np.float32)) for s in crops]
    few = [replace(s, dataset="talkinghead") for s in made_up(judge, 6, 2)]
    fit_fusion(judge, [*told, *few])
    calibration, figures = calibrate(judge, [*told, *few])
    (rule,) = calibration.rules  # 80 sources of a class promise 5 %, not 1 %
    assert rule.error_rate == 0.05
    assert calibration.video_threshold == rule.video.manipulated_from
    assert calibration.video_genuine.logits != type(calibration.video_genuine)().logits
    recipe = load_recipe("base-v1")
    shown = {"validation": figures, "encoders": {}, "temporal": {"validation_loss_by_epoch": [0.5, 0.6]}}
    export(judge, passport_of(judge, recipe, calibration, shown, ("made up",)), recipe, tmp_path)
    write_card(tmp_path, recipe.name)
    card = (tmp_path / recipe.name / "CARD.md").read_text()
    found = figures["video"]["dfdc"]["decisions"]["0.05"]
    assert f"| 0.05 | video | {rule.video.genuine_below:.3f} | {rule.video.manipulated_from:.3f} |" in card
    assert f"- 0.05: {rule.note}." in card
    low, high = found["genuine"]["error_95"]
    share = f"{100 * found['genuine']['error']:.1f} % ({100 * low:.1f}–{100 * high:.1f}), 80 sources"
    assert f"| 0.05 | dfdc | {share} |" in card
    assert f"| {100 * found['decided']:.0f} % |" in card
    assert "observed only" in rule.note


def test_no_encoder_counts_against_its_own_evidence() -> None:
    judge = Judge(("amtennet", "mesoinception4"), {}).eval()
    rng = np.random.default_rng(0)
    sequences = made_up(judge, 40, 0)
    for s in sequences:  # the second encoder only knows what is wrong with the first one
        habit = rng.normal(0, 2, len(s.is_fake))
        s.logits[:, 0] = np.where(s.is_fake, 1, -1) + habit
        s.logits[:, 1] = habit
    fit_fusion(judge, sequences)
    first, second = judge.fusion.weight[0].tolist()
    assert first > 0
    assert second == 0


def test_an_encoder_that_tells_the_wrong_way_round_alone_is_refused_and_not_turned_around() -> None:
    judge = Judge(("mesoinception4",), {}).eval()
    sequences = made_up(judge, 12, 0)
    for s in sequences:
        s.logits[:, 0] = np.where(s.is_fake, -1, 1)
    with pytest.raises(InputError, match="a higher score doesn't mean fake more often"):
        fit_fusion(judge, sequences)


def card_of(recipe: Recipe, folder: Path) -> str:
    """The card of an untrained judge whose transformer didn't help."""
    judge = Judge(("mesoinception4",), {}).eval()
    f = {"count": 2, "sources": 2, "auc": 0.5, "auc_95": [0.0, 1.0], "accuracy": 0.5, "ece": 0.5}
    one_class = {**f, "auc": None, "auc_95": [None, None]}
    shown = {
        "validation": {"frame": {"d": f, "genuine alone": one_class}},
        "encoders": {},
        "temporal": {"validation_loss_by_epoch": [0.5, 0.6]},
    }
    same = Platt(1.0, 0.0)
    export(
        judge,
        passport_of(judge, recipe, Calibration(same, same, same, 0.5, 0.5, 0.5, "", ""), shown, ("d",)),
        recipe,
        folder,
    )
    write_card(folder, recipe.name)
    return (folder / recipe.name / "CARD.md").read_text()


def test_a_card_says_only_what_holds_for_its_recipe(tmp_path: Path) -> None:
    shipped = load_recipe("base-v1")
    assert shipped.material.temporal_groups
    own = replace(shipped, name="own", material=replace(shipped.material, temporal_groups=()))
    cards = card_of(shipped, tmp_path), card_of(own, tmp_path)
    for words in (
        "people whom the encoders never saw",
        "for the transformer alone",
        "vidguard train base-v1 --only card",
    ):
        assert words in cards[0]
    for words in ("whom the encoders never saw", "for the transformer alone", "--only card"):
        assert words not in cards[1]
    assert "It doesn't help yet**.\n" in cards[1]
    assert "| frame | genuine alone | 2 | 2 | – | ––– | 0.500 |" in cards[1]
    assert "how much of an\nencoder's last round is (" in cards[0]
    assert "Generated from `passport.json`; don't edit." in cards[1]


def test_padding_in_a_batch_is_marked() -> None:
    judge = Judge(("mesoinception4",), {})
    sequences = made_up(judge, 6, 0)
    batch = collate(sequences, [s.tokens.frame_logits for s in sequences], np.random.default_rng(0))
    assert batch.valid[:, 0].all()
    assert batch.embeddings["mesoinception4"].shape[:2] == batch.logits.shape == batch.times.shape == batch.valid.shape
    assert (batch.is_fake[~batch.valid] == 0).all()


def test_tracks_that_are_turned_into_few_dimensions_are_judged_alike() -> None:
    torch.manual_seed(0)
    judge = Judge(("mesoinception4", "amtennet"), {}).eval()
    for parameter in (judge.temporal.frame_head.weight, *judge.temporal.gains()):
        torch.nn.init.normal_(parameter)
    sequence = made_up_people(judge, 2, 0)[1]
    turned = in_few_dimensions(sequence)
    assert turned.tokens.embeddings["amtennet"].shape == (24, 24)
    expected, found = (score_sequence(judge, one).segments for one in (sequence, turned))
    assert [s.logit for s in found] == pytest.approx([s.logit for s in expected], abs=1e-3)


def test_forged_sequences_keep_the_truth_per_frame() -> None:
    judge = Judge(("mesoinception4",), {}).eval()
    found = list(forged_sequences(small_store(), judge, split="val", forgeries=2, seed=0))
    assert len(found) == 3
    assert [bool(s.is_fake.any()) for s in found] == [True, True, False]
    assert all(len(s.tokens) == len(s.is_fake) == 10 for s in found)
