"""What is learnt from: manifests and folders, and that nothing stands in two splits."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from vidguard.errors import InputError
from vidguard.training.listing import Row, list_material, read_folder, read_manifest, split_of
from vidguard.training.recipe import MaterialRecipe

ANY = MaterialRecipe(8.0, 64, (), False, ())


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_a_folder_gives_data_set_group_kind_and_label(tmp_path: Path) -> None:
    names = ("real/a.mp4", "fake/swap/a.mp4", "fake/b.JPG", "real/notes.txt", "real/.hidden.mp4", "other/c.mp4")
    rows = {row.path: row for row in read_folder(fill(tmp_path / "mine", *names))}
    assert set(rows) == {"real/a.mp4", "fake/swap/a.mp4", "fake/b.JPG"}
    swap = rows["fake/swap/a.mp4"]
    assert (swap.label, swap.kind, swap.dataset, swap.group) == ("fake", "swap", "mine", "a")
    assert swap.split == rows["real/a.mp4"].split == split_of("a")
    assert (rows["real/a.mp4"].kind, rows["fake/b.JPG"].kind) == ("none", "unknown")


def test_split_folders_count_and_a_forgery_in_another_split_than_its_source_is_refused(tmp_path: Path) -> None:
    apart = fill(tmp_path / "apart", "train/real/a.mp4", "train/fake/a.mp4", "val/fake/b.mp4")
    listed = list_material([apart], ANY)
    assert [(path, row.split) for path, row in listed] == [
        (apart / "train/real/a.mp4", "train"),
        (apart / "train/fake/a.mp4", "train"),
        (apart / "val/fake/b.mp4", "val"),
    ]
    leaking = fill(tmp_path / "leaking", "train/real/a.mp4", "val/fake/swap/a.mp4")
    with pytest.raises(InputError, match="group a of leaking stands in two splits"):
        list_material([leaking], ANY)


def test_a_hash_splits_one_group_in_five_the_same_way_everywhere() -> None:
    splits = [split_of(f"clip{k}") for k in range(2000)]
    assert 0.17 < splits.count("val") / 2000 < 0.23
    # by hand: printf clip8 | sha256sum, its first 16 hexadecimal digits modulo 5
    assert [k for k in range(12) if splits[k] == "val"] == [0, 8, 10]


def test_a_name_that_isnt_utf8_gets_a_split_too() -> None:
    for k in range(10):
        name = b"clip\xff%d" % k
        number = int.from_bytes(hashlib.sha256(name).digest()[:8], "big")
        assert split_of(name.decode(errors="surrogateescape")) == ("val" if number % 5 == 0 else "train")


def manifest(folder: Path, *paths: str, dataset: str = "d") -> Path:
    folder.mkdir(exist_ok=True)
    lines = [f"{path},real,none,{dataset},train,g" for path in paths]
    (folder / "m.csv").write_text("\n".join(["path,label,kind,dataset,split,group", *lines]))
    return folder / "m.csv"


def test_files_of_one_data_set_with_one_path_are_refused(tmp_path: Path) -> None:
    first = manifest(fill(tmp_path / "one", "a.mp4"), "a.mp4")
    same, other = (manifest(fill(tmp_path / d, "a.mp4"), "a.mp4", dataset=d) for d in ("d", "e"))
    assert len(list_material([first, other], ANY)) == 2
    with pytest.raises(InputError, match=r"a\.mp4 of d is listed twice"):
        list_material([first, same], ANY)


def test_a_manifest_none_of_whose_files_is_there_is_refused(tmp_path: Path) -> None:
    source = manifest(fill(tmp_path, "elsewhere/a.mp4"), "a.mp4", "b.mp4")
    with pytest.raises(InputError, match=r"none of the 2 files of .*m\.csv is there"):
        list_material([source], ANY)
    fill(tmp_path, "b.mp4")  # a few missing files are only counted, when faces are cut
    assert len(list_material([source], ANY)) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path,label,kind,dataset,split\n", "no column group"),
        ("path,label,kind,dataset,split,group\na.jpg,Fake,none,d,train,g\n", "labelled 'Fake'"),
        ("\xff\xfe", "no column"),
    ],
)
def test_a_manifest_that_cant_be_used_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(InputError, match=says):
        read_manifest(tmp_path / "m.csv")


def test_what_isnt_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        list_material([tmp_path / "none.csv"], ANY)
    with pytest.raises(InputError, match="below real/ or fake/"):
        list_material([fill(tmp_path / "empty", "clips/a.mp4")], ANY)
    with pytest.raises(InputError, match="labels are real and fake"):
        Row("a.jpg", "FAKE", "none", "d", "train", "g")
