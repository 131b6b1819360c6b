"""Every layout on a miniature of its data set: what is found, what is missing, and what is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import miniature
import pytest

from vidguard.errors import InputError
from vidguard.protocols.items import Item, Listing, require_disjoint
from vidguard.protocols.layouts import LAYOUTS, LayoutOptions

MAKERS = {
    "ffpp": miniature.make_ffpp,
    "dfdc": miniature.make_dfdc_test,
    "dfdcp": miniature.make_dfdcp,
    "celebdf": miniature.make_celebdf,
    "wilddeepfake": miniature.make_wilddeepfake,
    "ffiw": miniature.make_ffiw,
    "folder": miniature.make_folder,
    "csv": miniature.make_csv,
}


def read(name: str, root: Path, **options) -> Listing:
    return LAYOUTS[name](root, LayoutOptions(**options))


def by_id(listing: Listing) -> dict[str, Item]:
    return {item.id: item for item in listing.items}


def counts(listing: Listing) -> dict[str, int]:
    return dict(Counter(item.method for item in listing.items))


def says(listing: Listing, text: str) -> bool:
    return any(text in note for note in listing.notes)


def test_every_layout_has_a_miniature():
    assert set(MAKERS) == set(LAYOUTS)


@pytest.mark.parametrize("name", LAYOUTS)
def test_complete_copy_has_every_label_right(name, tmp_path):
    """The makers write the label into the file: whatever a list's convention is, it must come out as that."""
    listing = read(name, MAKERS[name](tmp_path))
    assert listing.missing == ()
    assert listing.coverage == 1
    assert {item.is_fake for item in listing.items} == {True, False}
    for item in listing.items:
        file = min(item.path.iterdir()) if item.path.is_dir() else item.path
        assert file.read_text().startswith(str(item.is_fake)), item.id
        assert item.path == tmp_path / item.id


@pytest.mark.parametrize("name", LAYOUTS)
def test_reading_twice_gives_the_same_order(name, tmp_path):
    root = MAKERS[name](tmp_path)
    assert read(name, root) == read(name, root)
    ids = [item.id for item in read(name, root).items]
    assert ids == sorted(ids)


@pytest.mark.parametrize("name", LAYOUTS)
def test_folder_of_something_else_is_refused_with_its_name(name, tmp_path):
    with pytest.raises(InputError, match=tmp_path.name):
        read(name, tmp_path)
    with pytest.raises(InputError, match="nowhere"):
        read(name, tmp_path / "nowhere")


@pytest.mark.parametrize("name", LAYOUTS)
def test_unknown_choices_are_refused(name, tmp_path):
    root = MAKERS[name](tmp_path)
    for options in ({"split": "dev"}, {"methods": ("Magic",)}, {"compressions": ("c99",)}):
        with pytest.raises(InputError, match=r"dev|Magic|c99"):
            read(name, root, **options)


@pytest.mark.parametrize("choice", ["methods", "compressions"])
def test_empty_choice_is_refused(choice):
    with pytest.raises(InputError, match="None"):
        LayoutOptions(**{choice: ()})


@pytest.mark.parametrize("name", ["ffpp", "dfdcp", "celebdf", "wilddeepfake", "ffiw"])
def test_splits_share_neither_footage_nor_people(name, tmp_path):
    MAKERS[name](tmp_path)
    train, test = read(name, tmp_path, split="train"), read(name, tmp_path, split="test")
    assert not set(by_id(train)) & set(by_id(test))
    require_disjoint([train, test])
    assert len(read(name, tmp_path, split="all").items) >= len(train.items) + len(test.items)


# FaceForensics++


def test_ffpp_pairs_stand_for_two_originals_and_two_fakes_of_each_method(tmp_path):
    listing = read("ffpp", miniature.make_ffpp(tmp_path))
    assert counts(listing) == {"youtube": 4, **dict.fromkeys(miniature.FFPP_METHODS, 4)} == listing.expected
    item = by_id(listing)["manipulated_sequences/Face2Face/c23/videos/031_030.mp4"]
    assert (item.is_fake, item.method, item.compression) == (True, "Face2Face", "c23")
    assert (item.source, item.identities) == ("031", ("ffpp-031", "ffpp-030"))
    original = by_id(listing)["original_sequences/youtube/c23/videos/031.mp4"]
    assert (original.source, original.identities) == ("031", ("ffpp-031",))


def test_ffpp_same_file_name_of_every_method_stays_apart(tmp_path):
    listing = read("ffpp", miniature.make_ffpp(tmp_path, compressions=("c23", "c40")))
    same = [item for item in listing.items if item.path.name == "030_031.mp4"]
    assert len(same) == len({item.id for item in same}) == 2 * len(miniature.FFPP_METHODS)


@pytest.mark.parametrize("folder", [".", "splits"])
def test_ffpp_finds_split_files_in_both_places(folder, tmp_path):
    listing = read("ffpp", miniature.make_ffpp(tmp_path, splits_folder=folder), split="val")
    assert {item.source for item in listing.items} == {"020", "021"}
    assert says(listing, "val.json names 1 pairs, the official one 70")


def test_ffpp_methods_and_compressions_are_chosen(tmp_path):
    miniature.make_ffpp(tmp_path, compressions=("raw", "c23", "c40"))
    listing = read("ffpp", tmp_path, methods=("FaceSwap",), compressions=("c40",))
    assert counts(listing) == {"youtube": 4, "FaceSwap": 4}
    assert {item.compression for item in listing.items} == {"c40"}


def test_ffpp_c0_is_raw(tmp_path):
    listing = read("ffpp", miniature.make_ffpp(tmp_path, compressions=("c0",)))
    assert {item.compression for item in listing.items} == {"raw"}
    assert all("/c0/" in item.id for item in listing.items)


def test_ffpp_without_split_file_says_where_it_is_from(tmp_path):
    miniature.make_ffpp(tmp_path, splits_folder=None)
    with pytest.raises(InputError, match=r"test\.json.*ondyari/FaceForensics"):
        read("ffpp", tmp_path)
    listing = read("ffpp", tmp_path, split="all")
    assert counts(listing)["youtube"] == 10
    assert listing.expected == {}


def test_ffpp_counts_missing_files_exactly(tmp_path):
    miniature.make_ffpp(tmp_path)
    gone = [
        "manipulated_sequences/Deepfakes/c23/videos/030_031.mp4",
        "original_sequences/youtube/c23/videos/041.mp4",
        "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4",  # of the training split: nobody misses it
    ]
    for id in gone:
        (tmp_path / id).unlink()
    listing = read("ffpp", tmp_path)
    assert listing.missing == tuple(gone[:2])
    assert len(listing.items) == 18
    assert listing.coverage == 18 / 20
    assert listing.expected["Deepfakes"] == 4


def test_ffpp_absent_method_is_a_note_unless_asked_for(tmp_path):
    miniature.make_ffpp(tmp_path)
    assert read("ffpp", tmp_path).missing == ()
    assert says(read("ffpp", tmp_path), "left out: FaceShifter c23")
    listing = read("ffpp", tmp_path, methods=("Deepfakes", "FaceShifter"))
    assert len(listing.missing) == 4
    assert all("/FaceShifter/c23/" in id for id in listing.missing)


def test_ffpp_absent_compression_is_missing_when_asked_for(tmp_path):
    miniature.make_ffpp(tmp_path, methods=("Deepfakes",))
    assert read("ffpp", tmp_path).missing == ()
    listing = read("ffpp", tmp_path, compressions=("c23", "c40"))
    assert len(listing.missing) == 8
    assert all("/c40/" in id for id in listing.missing)
    assert says(listing, "Face2Face c40")


def test_ffpp_fakes_without_originals_miss_them(tmp_path):
    miniature.make_ffpp(tmp_path, methods=("Deepfakes",))
    for video in (tmp_path / "original_sequences/youtube/c23/videos").iterdir():
        video.unlink()
    assert len(read("ffpp", tmp_path).missing) == 4


def test_ffpp_acted_videos_have_no_split(tmp_path):
    miniature.make_ffpp(tmp_path, acted=True)
    plain = read("ffpp", tmp_path)
    assert not any(item.method in ("actors", "DeepFakeDetection") for item in plain.items)
    assert says(plain, "DeepFakeDetection has no official split and is left out")
    asked = read("ffpp", tmp_path, methods=("DeepFakeDetection",))
    assert counts(asked) == {"actors": 1, "DeepFakeDetection": 1}
    assert says(asked, "no official split: all of their videos are in")
    fake, original = asked.items
    assert fake.source == original.source == "01__walking"
    assert (fake.identities, original.identities) == (("ffpp-actor-01", "ffpp-actor-02"), ("ffpp-actor-01",))
    everything = counts(read("ffpp", tmp_path, split="all"))
    assert (everything["actors"], everything["DeepFakeDetection"], everything["youtube"]) == (1, 1, 10)


def test_ffpp_foreign_names_are_left_out_and_told(tmp_path):
    miniature.make_ffpp(tmp_path, methods=("Deepfakes",))
    (tmp_path / "original_sequences/youtube/c23/videos/000_003.mp4").write_bytes(b"a fake among the originals")
    listing = read("ffpp", tmp_path, split="all")
    assert counts(listing) == {"youtube": 10, "Deepfakes": 10}
    assert says(listing, "1 files aren't named like")


def test_ffpp_id_in_two_splits_is_refused(tmp_path):
    pairs = {**miniature.FFPP_PAIRS, "val": (("020", "031"),)}
    with pytest.raises(InputError, match=r"031.*val\.json.*test\.json"):
        read("ffpp", miniature.make_ffpp(tmp_path, pairs=pairs))


@pytest.mark.parametrize("content", ['["000", "003"]', '[["000"]]', '[["000", 3]]', '[["../0", "003"]]', "{}", "[]"])
def test_ffpp_split_file_must_hold_pairs(content, tmp_path):
    miniature.make_ffpp(tmp_path)
    (tmp_path / "splits/test.json").write_text(content)
    with pytest.raises(InputError, match=r"test\.json"):
        read("ffpp", tmp_path)


# Celeb-DF


def test_celebdf_one_is_real(tmp_path):
    listing = read("celebdf", miniature.make_celebdf(tmp_path))
    assert {item.id: item.is_fake for item in listing.items} == {
        "Celeb-real/id1_0007.mp4": False,
        "YouTube-real/00170.mp4": False,
        "Celeb-synthesis/id1_id2_0007.mp4": True,
    }
    fake = by_id(listing)["Celeb-synthesis/id1_id2_0007.mp4"]
    assert fake.source == by_id(listing)["Celeb-real/id1_0007.mp4"].source == "Celeb-real/id1_0007"
    assert fake.identities == ("celebdf-id1", "celebdf-id2")
    assert by_id(listing)["YouTube-real/00170.mp4"].identities == ()
    assert says(listing, "names 3 videos, that of Celeb-DF v2 names 518")


def test_celebdf_inverted_list_is_refused(tmp_path):
    path = miniature.make_celebdf(tmp_path) / "List_of_testing_videos.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(f"{1 - int(line[0])}{line[1:]}" for line in lines))
    with pytest.raises(InputError, match=r"line 1.*0 \(fake\) contradicts Celeb-real.*1 is real"):
        read("celebdf", tmp_path)
    path.write_text("1 YouTube-real/00170.mp4\n1 Celeb-synthesis/id1_id2_0007.mp4\n")
    with pytest.raises(InputError, match=r"line 2.*1 \(real\) contradicts Celeb-synthesis"):
        read("celebdf", tmp_path)


def test_celebdf_missing_and_train(tmp_path):
    miniature.make_celebdf(tmp_path)
    (tmp_path / "YouTube-real/00170.mp4").unlink()
    listing = read("celebdf", tmp_path)
    assert listing.missing == ("YouTube-real/00170.mp4",)
    assert listing.expected == {"Celeb-real": 1, "YouTube-real": 1, "Celeb-synthesis": 1}
    assert set(by_id(read("celebdf", tmp_path, split="train"))) == set(miniature.CELEBDF_TRAIN)
    assert len(read("celebdf", tmp_path, split="all").items) == 5


def test_celebdf_without_list(tmp_path):
    miniature.make_celebdf(tmp_path)
    (tmp_path / "List_of_testing_videos.txt").unlink()
    for split in ("test", "train"):
        with pytest.raises(InputError, match=r"List_of_testing_videos\.txt isn't in"):
            read("celebdf", tmp_path, split=split)
    assert len(read("celebdf", tmp_path, split="all").items) == 6


@pytest.mark.parametrize("line", ["real YouTube-real/00170.mp4", "1", "2 YouTube-real/00170.mp4", "1 Other/00170.mp4"])
def test_celebdf_strange_lines_are_refused(line, tmp_path):
    (miniature.make_celebdf(tmp_path) / "List_of_testing_videos.txt").write_text(line)
    with pytest.raises(InputError, match="line 1"):
        read("celebdf", tmp_path)


# DFDC and its preview


def test_dfdc_training_folders(tmp_path):
    listing = read("dfdc", miniature.make_dfdc(tmp_path), split="train")
    assert counts(listing) == {"real": 2, "fake": 4}
    sources = {item.id: item.source for item in listing.items}
    assert sources["dfdc_train_part_1/fake1b.mp4"] == sources["dfdc_train_part_1/original1.mp4"] == "original1"
    assert says(listing, "2 of the 50 training folders")
    one_part = read("dfdc", tmp_path / "dfdc_train_part_0", split="train")
    assert counts(one_part) == {"real": 1, "fake": 2}


def test_dfdc_missing_in_training(tmp_path):
    miniature.make_dfdc(tmp_path)
    (tmp_path / "dfdc_train_part_0/fake0a.mp4").unlink()
    listing = read("dfdc", tmp_path, split="train")
    assert listing.missing == ("dfdc_train_part_0/fake0a.mp4",)
    assert listing.expected == {"real": 2, "fake": 4}


@pytest.mark.parametrize("videos", [".", "videos", "test", "test_videos"])
@pytest.mark.parametrize("metadata", [False, True])
def test_dfdc_test_sets(videos, metadata, tmp_path):
    miniature.make_dfdc_test(tmp_path, videos=videos, metadata=metadata)
    (tmp_path / videos / "ddd.mp4").unlink()
    listing = read("dfdc", tmp_path)
    assert {item.path.name: item.is_fake for item in listing.items} == {
        "aaa.mp4": True,
        "bbb.mp4": False,
        "ccc.mp4": True,
    }
    assert [Path(id).name for id in listing.missing] == ["ddd.mp4"]
    assert says(listing, "each counts as a source of its own")


def test_dfdc_two_lists_of_one_test_set_must_agree(tmp_path):
    miniature.make_dfdc_test(tmp_path)
    miniature.make_dfdc_test(tmp_path, metadata=True)
    assert len(read("dfdc", tmp_path).items) == 4
    path = tmp_path / "videos/metadata.json"
    path.write_text(path.read_text().replace('"is_fake": 1', '"is_fake": 0', 1))
    with pytest.raises(InputError, match=r"metadata\.json contradicts.*aaa\.mp4"):
        read("dfdc", tmp_path)


def test_dfdc_train_and_test_below_one_root(tmp_path):
    miniature.make_dfdc(tmp_path)
    with pytest.raises(InputError, match=r"no list of DFDC's split test.*there: train"):
        read("dfdc", tmp_path)
    miniature.make_dfdc_test(tmp_path)
    assert [len(read("dfdc", tmp_path, split=s).items) for s in ("train", "test", "all")] == [6, 4, 10]


@pytest.mark.parametrize("label", ["FAKE", "2", ""])
def test_dfdc_labels_are_zero_or_one(label, tmp_path):
    (miniature.make_dfdc_test(tmp_path) / "labels.csv").write_text(f"filename,label\naaa.mp4,{label}\n")
    with pytest.raises(InputError, match=r"labels\.csv, line 2"):
        read("dfdc", tmp_path)


def test_dfdcp_sets_people_and_methods(tmp_path):
    listing = read("dfdcp", miniature.make_dfdcp(tmp_path))
    assert counts(listing) == {"original_videos": 1, "method_A": 1, "method_B": 1} == listing.expected
    assert {item.source for item in listing.items} == {"3000"}
    assert {item.identities for item in listing.items if item.is_fake} == {("dfdcp-3000", "dfdcp-4000")}
    chosen = read("dfdcp", tmp_path, methods=("method_B",))
    assert counts(chosen) == {"original_videos": 1, "method_B": 1} == chosen.expected


def test_dfdcp_record_without_label_is_refused(tmp_path):
    path = miniature.make_dfdcp(tmp_path) / "dataset.json"
    path.write_text(path.read_text().replace('"label": "fake"', '"label": "1"', 1))
    with pytest.raises(InputError, match=r"dataset\.json: method_A"):
        read("dfdcp", tmp_path)


# WildDeepfake and FFIW


def test_wilddeepfake_items_are_sequences_of_a_video(tmp_path):
    listing = read("wilddeepfake", miniature.make_wilddeepfake(tmp_path))
    assert [item.id for item in listing.items] == [
        *("fake_test/3/fake/0", "fake_test/3/fake/1", "real_test/1/real/0", "real_test/1/real/1")
    ]
    assert {item.source for item in listing.items} == {"fake_test/3", "real_test/1"}
    assert says(listing, "4 sequences are there; the paper counts 806")


def test_wilddeepfake_archives_are_told(tmp_path):
    miniature.make_wilddeepfake(tmp_path)
    for name in ("3.tar.gz", "9.tar.gz"):  # 3 is unpacked already
        (tmp_path / "fake_test" / name).write_bytes(b"")
    listing = read("wilddeepfake", tmp_path)
    assert len(listing.items) == 4
    assert says(listing, "1 archives aren't unpacked, the first is fake_test/9.tar.gz")
    packed = tmp_path / "packed/real_test"
    packed.mkdir(parents=True)
    (packed / "0.tar.gz").write_bytes(b"")
    with pytest.raises(InputError, match=r"real_test/0\.tar\.gz: unpack"):
        read("wilddeepfake", tmp_path / "packed")


def test_wilddeepfake_fake_crops_among_real_ones_are_refused(tmp_path):
    miniature.make_wilddeepfake(tmp_path)
    (tmp_path / "real_test/1/fake/7").mkdir(parents=True)
    with pytest.raises(InputError, match="real_test/1 has a folder 'fake'"):
        read("wilddeepfake", tmp_path)


@pytest.mark.parametrize("videos", [False, True])
def test_ffiw_pairs(videos, tmp_path):
    miniature.make_ffiw(tmp_path)
    inner = "/videos" if videos else ""
    if videos:
        for side in ("source", "target"):
            moved = tmp_path / side / "moved"
            (tmp_path / side / "test").rename(moved)
            (tmp_path / side / "test").mkdir()
            moved.rename(tmp_path / side / "test/videos")
    (tmp_path / f"source/test{inner}/test_00000001.mp4").unlink()
    listing = read("ffiw", tmp_path)
    assert counts(listing) == {"real": 1, "fake": 2}
    assert listing.missing == (f"source/test{inner}/test_00000001.mp4",)
    assert {item.source for item in listing.items} == {"test/test_00000000", "test/test_00000001"}
    assert listing.expected == {"real": 1738, "fake": 1738}


def test_ffiw_validation_is_never_taken_for_test(tmp_path):
    miniature.make_ffiw(tmp_path, splits=("val",))
    with pytest.raises(InputError, match=r"no videos of the split test.*there: val.*250 \+ 250"):
        read("ffiw", tmp_path)
    assert len(read("ffiw", tmp_path, split="val").items) == 4


# One's own folder and manifest


def test_folder_methods_and_sources(tmp_path):
    listing = read("folder", miniature.make_folder(tmp_path))
    assert {item.id: (item.method, item.source) for item in listing.items} == {
        "real/a__day.mp4": ("real", "a"),
        "real/a__night.mp4": ("real", "a"),
        "real/b.png": ("real", "b"),
        "fake/swap/a.mp4": ("swap", "a"),
        "fake/reenact/a.mp4": ("reenact", "a"),
    }
    assert listing.split == "all"


def test_folder_skips_hidden_and_foreign_files_and_needs_both_sides(tmp_path):
    miniature.make_folder(tmp_path)
    for name in ("real/._a.mp4", "real/notes.txt", "fake/.hidden/x.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert len(read("folder", tmp_path).items) == 5
    (tmp_path / "fake").rename(tmp_path / "Forged")
    with pytest.raises(InputError, match="a folder real and a folder fake"):
        read("folder", tmp_path)


def test_csv_columns(tmp_path):
    manifest = miniature.make_csv(tmp_path)
    listing = read("csv", manifest)
    assert [(item.id, item.is_fake, item.method, item.source) for item in listing.items] == [
        ("clips/a.mp4", False, "real", "a"),
        ("clips/a_forged.mp4", True, "swap", "a"),
    ]
    assert (listing.dataset, listing.split) == ("manifest", "test")
    manifest.write_text(
        "path,label,kind,dataset,group,identities,compression,bytes\n"
        "clips/a.mp4,real,none,own,7,ann; bob,c23,1\n"
        "clips/a_forged.mp4,fake,identity,own,7,ann,c40,2\n"
    )
    listing = read("csv", manifest)
    real, fake = listing.items
    assert (real.method, real.source, real.identities, real.compression) == ("own", "own/7", ("ann", "bob"), "c23")
    assert fake.method == "identity"
    assert says(listing, "mean nothing here: bytes")
    assert by_id(read("csv", manifest, compressions=("c40",))) == {fake.id: fake}


def test_csv_missing_files_and_folders_without_pictures(tmp_path):
    manifest = miniature.make_csv(tmp_path)
    manifest.write_text("path,label\nclips/a.mp4,real\nclips,real\nclips/b.mp4,fake\ncrops,fake\n")
    (tmp_path / "clips/a.mp4").unlink()
    (tmp_path / "crops").mkdir()
    (tmp_path / "crops/0.jpg").write_bytes(b"")
    listing = read("csv", manifest)
    assert listing.missing == ("clips", "clips/a.mp4")
    assert set(by_id(listing)) == {"clips/b.mp4", "crops"}


@pytest.mark.parametrize("label", ["0", "1", "Fake", ""])
def test_csv_numbers_are_no_labels(label, tmp_path):
    manifest = miniature.make_csv(tmp_path)
    manifest.write_text(f"path,label\nclips/a.mp4,real\nclips/a_forged.mp4,{label}\n")
    with pytest.raises(InputError, match=r"line 3.*real or fake.*DFDC.*Celeb-DF"):
        read("csv", manifest)


@pytest.mark.parametrize("column", ["source", "identities"])
def test_csv_leak_between_splits_is_refused(column, tmp_path):
    manifest = miniature.make_csv(tmp_path)
    manifest.write_text(f"path,label,split,{column}\nclips/a.mp4,real,train,ann\nclips/b.mp4,real,test,ann\n")
    with pytest.raises(InputError, match=r"ann .*stands in the splits train and test"):
        read("csv", manifest)


@pytest.mark.parametrize(
    "text", ["", "path,label\n", "path,split\na.mp4,test\n", "path,label\na.mp4,real,x\n", 'path,label\n"a,real\n']
)
def test_csv_broken_manifest_is_refused(text, tmp_path):
    manifest = miniature.make_csv(tmp_path)
    manifest.write_text(text)
    with pytest.raises(InputError, match=r"manifest\.csv"):
        read("csv", manifest)


def test_csv_path_listed_twice_is_refused(tmp_path):
    manifest = miniature.make_csv(tmp_path)
    manifest.write_text("path,label\nclips/a.mp4,real\n./clips/a.mp4,fake\n")
    with pytest.raises(InputError, match=r"several items.*clips/a\.mp4"):
        read("csv", manifest)


# Hostile and broken copies

HOSTILE = ["/etc/passwd", "../outside.mp4", "clips/../../outside.mp4", "..\\outside.mp4", "C:/outside.mp4", ""]


@pytest.mark.parametrize("path", HOSTILE)
def test_lists_cannot_point_outside(path, tmp_path):
    (tmp_path / "outside.mp4").write_bytes(b"")
    root = tmp_path / "root"
    miniature.make_csv(root)
    (root / "manifest.csv").write_text(f"path,label\n{path},real\n")
    (root / "metadata.json").write_text(json.dumps({path: {"label": "REAL"}}))
    (root / "dataset.json").write_text(json.dumps({path: {"label": "real", "set": "test"}}))
    (root / "labels.csv").write_text(f"filename,label\n{path},0\n")
    (root / "List_of_testing_videos.txt").write_text(f"1 {path}\n")
    for name, place in (("csv", root / "manifest.csv"), ("dfdcp", root), ("dfdc", root), ("celebdf", root)):
        with pytest.raises(InputError, match=r"manifest\.csv|dataset\.json|labels\.csv|List_of_testing"):
            read(name, place)
    (root / "labels.csv").unlink()
    with pytest.raises(InputError, match=r"metadata\.json names"):
        read("dfdc", root, split="train")


LINKED = {
    "ffpp": "original_sequences/youtube/c23/videos/030.mp4",
    "dfdc": "videos/aaa.mp4",
    "dfdcp": "original_videos/3000/3000_A_001.mp4",
    "celebdf": "YouTube-real/00170.mp4",
    "wilddeepfake": "fake_test/3/fake/0/1.png",
    "ffiw": "source/test/test_00000000.mp4",
    "folder": "real/b.png",
    "csv": "clips/a.mp4",
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("level", ["item", "folder"])
def test_links_lead_nowhere_outside(name, level, tmp_path):
    place = MAKERS[name](tmp_path / "root")
    path = tmp_path / "root" / LINKED[name]
    path = path if level == "item" else path.parent
    outside = tmp_path / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    with pytest.raises(InputError, match="leads out of"):
        read(name, place)


def test_links_inside_and_a_linked_root_are_fine(tmp_path):
    root = miniature.make_folder(tmp_path / "root")
    (root / "real/c.mp4").symlink_to("b.png")
    (root / "fake/gone.mp4").symlink_to("nothing.mp4")
    (root / "fake/round").symlink_to("../fake")
    (root / "fake/self.mp4").symlink_to("self.mp4")
    (tmp_path / "link").symlink_to(root)
    assert len(read("folder", tmp_path / "link").items) == 6


@pytest.mark.parametrize(
    ("name", "file"),
    [("ffpp", "splits/val.json"), ("dfdc", "metadata.json"), ("dfdcp", "dataset.json")],
)
@pytest.mark.parametrize("content", [b'{"a": ', b"\xff\xfe\x00", b"[" * 100_000, b"[1]", b'{"a": 1}', b"7"])
def test_broken_json_names_the_file(name, file, content, tmp_path):
    MAKERS[name](tmp_path)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(InputError, match=file):
        read(name, tmp_path)


def test_a_list_of_what_is_elsewhere_is_refused(tmp_path):
    miniature.make_celebdf(tmp_path)
    for name in miniature.CELEBDF_TEST:
        (tmp_path / name).unlink()
    with pytest.raises(InputError, match=r"nothing of celebdf's split test.*Celeb-real/id1_0007"):
        read("celebdf", tmp_path)
