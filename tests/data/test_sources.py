"""What a source can be, and that it is detected, said aloud, and refused with a remedy."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from headstart.data.decode import check_images
from headstart.data.folders import class_order, find_images
from headstart.data.sources import ImageSet, data_facts, labelled_split, open_source, unlabelled_images
from headstart.errors import DataError

Writer = Callable[[Path, Iterable[str]], Path]


def test_a_flat_folder_in_natural_order(tmp_path: Path, write_images: Writer) -> None:
    write_images(tmp_path, ["img10.jpg", "img2.jpg", "img1.PNG", "b.webp", "c.tif", "d.TIFF", "e.bmp", "a.jpeg"])
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden.jpg").write_bytes(b"")
    source = open_source(str(tmp_path))
    names = ("a.jpeg", "b.webp", "c.tif", "d.TIFF", "e.bmp", "img1.PNG", "img2.jpg", "img10.jpg")
    assert source.train == ImageSet(tmp_path, names, None)
    assert (source.kind, source.classes, source.val, source.split) == ("folder", (), None, "")
    assert "8 images: unlabelled" in source.description
    assert "\n" not in source.description


def test_a_nested_folder_is_unlabelled(tmp_path: Path, write_images: Writer) -> None:
    write_images(tmp_path, ["2020/may/1.jpg", "2020/june/1.jpg", "2021/2.jpg", ".cache/x.jpg"])
    source = open_source(str(tmp_path))
    assert source.kind == "folder"
    assert source.train.names == ("2020/june/1.jpg", "2020/may/1.jpg", "2021/2.jpg")
    assert source.train.labels is None
    assert "3 folders" in source.description


def test_class_folders(tmp_path: Path, write_images: Writer) -> None:
    write_images(tmp_path, ["dog/1.jpg", "cat/10.jpg", "cat/9.jpg", "class 10/a.png", "class 9/a.png"])
    source = open_source(str(tmp_path))
    assert source.kind == "class folders"
    assert source.classes == ("cat", "class 9", "class 10", "dog")
    assert source.train.names == ("cat/9.jpg", "cat/10.jpg", "class 9/a.png", "class 10/a.png", "dog/1.jpg")
    assert source.train.labels == (0, 0, 1, 2, 3)
    assert "of 4 classes: class folders" in source.description
    assert f"folder:{tmp_path}" in source.description


@pytest.mark.parametrize("extra", ["loose.jpg", "cat/deeper/1.jpg"])
def test_folders_with_images_elsewhere_are_no_classes(tmp_path: Path, write_images: Writer, extra: str) -> None:
    write_images(tmp_path, ["cat/1.jpg", "dog/1.jpg", extra])
    assert open_source(str(tmp_path)).kind == "folder"


def test_one_folder_is_no_class(tmp_path: Path, write_images: Writer) -> None:
    write_images(tmp_path, ["cat/1.jpg", "cat/2.jpg"])
    assert open_source(str(tmp_path)).kind == "folder"
    with pytest.raises(DataError, match="at least two classes"):
        open_source(f"classes:{tmp_path}")


def test_prefixes_force_the_reading(tmp_path: Path, write_images: Writer) -> None:
    write_images(tmp_path, ["cat/1.jpg", "dog/deep/1.jpg"])
    assert open_source(f"classes:{tmp_path}").train.labels == (0, 1)
    write_images(tmp_path, ["loose.jpg"])
    assert open_source(f"folder:{tmp_path}").train.labels is None
    with pytest.raises(DataError, match=r"loose\.jpg.*Move each"):
        open_source(f"classes:{tmp_path}")
    with pytest.raises(DataError, match="is a folder"):
        open_source(f"csv:{tmp_path}")


@pytest.mark.parametrize("spec", ["office", "office/", "office/train.csv", "office/../office"])
def test_the_layout_of_the_seed(office: Path, spec: str) -> None:
    source = open_source(f"{office.parent}/{spec}")
    assert source.kind == "csv"
    assert source.classes == ("0", "1", "2")
    assert source.train.labels == (0, 1, 2) * 4
    assert source.val is not None
    assert source.val.labels == (0, 1, 2) * 2
    assert source.train.path(3).resolve() == office / "train" / "00003.jpg"
    assert source.val.path(5).is_file()
    assert "train.csv" in source.description
    assert "val.csv" in source.description
    assert labelled_split(source) == (source.train, source.val, source.split)


def test_a_csv_alone(office: Path) -> None:
    assert open_source(f"csv:{office / 'train.csv'}").val is None
    assert len(open_source(str(office / "val.csv")).train) == 6


def test_integer_classes_sort_by_value_and_names_naturally() -> None:
    assert class_order(["10", "9", "-1", "10"]) == ("-1", "9", "10")
    assert class_order(["n10", "n9", "Cat", "bird"]) == ("bird", "Cat", "n9", "n10")


def test_a_csv_as_spreadsheets_write_it(tmp_path: Path, write_images: Writer) -> None:
    write_images(tmp_path / "train", ["a.jpg", "süß, b.jpg", "sub/c.jpg"])
    text = 'id,FileName,Label \r\n1,a.jpg, Möbel\r\n\r\n2,"süß, b.jpg",Buch\r\n'
    text += "3,./sub/c.jpg,Buch\r\n3,sub//c.jpg,Buch\r\n"
    (tmp_path / "train.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    source = open_source(str(tmp_path))
    assert source.classes == ("Buch", "Möbel")
    assert source.train.names == ("a.jpg", "süß, b.jpg", "sub/c.jpg")
    assert source.train.labels == (1, 0, 0)
    assert "1 listed twice" in source.description


@pytest.mark.parametrize("header", ["id,filename", "id,filename,label"])
def test_a_csv_without_labels_is_unlabelled(tmp_path: Path, write_images: Writer, header: str) -> None:
    write_images(tmp_path / "train", ["a.jpg"])
    row = "1,a.jpg" + "," * (header.count(",") - 1)
    (tmp_path / "train.csv").write_text(f"{header}\n{row}\n")
    source = open_source(str(tmp_path))
    assert source.kind == "csv"
    assert source.train.labels is None


def test_a_flat_folder_with_a_csv_in_it_or_beside_images(tmp_path: Path, write_images: Writer) -> None:
    write_images(tmp_path / "mini", ["a.jpg", "b.jpg"])
    (tmp_path / "mini" / "labels.csv").write_text("filename,label\na.jpg,n01\nb.jpg,n02\n")
    assert open_source(str(tmp_path / "mini")).classes == ("n01", "n02")
    write_images(tmp_path / "mini2" / "images", ["a.jpg"])
    (tmp_path / "mini2" / "train.csv").write_text("filename,label\na.jpg,n01\n")
    assert open_source(str(tmp_path / "mini2")).train.path(0) == tmp_path / "mini2" / "images" / "a.jpg"
    (tmp_path / "mini" / "other.csv").write_text("filename\na.jpg\n")
    with pytest.raises(DataError, match=r"several CSV.*Name one"):
        open_source(str(tmp_path / "mini"))
    assert len(open_source(f"folder:{tmp_path / 'mini'}").train) == 2


def test_a_csv_about_something_else_is_ignored(tmp_path: Path, write_images: Writer) -> None:
    write_images(tmp_path, ["a.jpg"])
    (tmp_path / "weather.csv").write_text("day,rain\n1,2\n")
    assert open_source(str(tmp_path)).kind == "folder"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label\na.jpg,1\n", "no column 'filename'.*image, label"),
        ("filename;label\na.jpg;1\n", "comma-separated"),
        ("", "its first line has nothing"),
        ("filename,label\n", "lists no images"),
        ("filename,label\na.jpg\n", "line 2: 1 values under a header of 2"),
        ("filename,label\n/etc/a.jpg,1\n", "line 2: '/etc/a.jpg' is absolute"),
        ("filename,label\nx/../../a.jpg,1\n", "without '..'"),
        ("filename,label\n..\\a.jpg,1\n", "without '..'"),
        ("filename,label\nC:\\a.jpg,1\n", "is absolute"),
        ("filename,label\n ,1\n", "line 2: '' is not a file name"),
        ("filename,label\na.jpg,1\na.jpg,2\n", "a.jpg is labelled '1' in line 2 and '2' in line 3"),
        ("filename,label\na.jpg,1\nb.jpg,\n", "1 of 2 images have no label .first: line 3."),
        ("filename,label\nx.jpg,1\n", "None of the 1 files.*Looked in"),
        ("filename,label\n\udcff.jpg,1\n", "not UTF-8"),
    ],
)
def test_csv_mistakes_are_named(tmp_path: Path, write_images: Writer, text: str, message: str) -> None:
    write_images(tmp_path / "train", ["a.jpg", "b.jpg"])
    (tmp_path / "train.csv").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=message):
        open_source(str(tmp_path))


def test_listed_files_that_are_missing_go_to_the_quarantine(office: Path, tmp_path: Path) -> None:
    (office / "train" / "00004.jpg").unlink()
    source = open_source(str(office))
    assert len(source.train) == 12
    assert "1 missing" in source.description
    checked = check_images(source.train, tmp_path / "quarantine.csv", strict=False, workers=2)
    assert len(checked) == 11
    assert "00004.jpg,file not found" in (tmp_path / "quarantine.csv").read_text()


@pytest.mark.parametrize("val", ["val", "validation", "Val", "test"])
def test_pairs_of_class_folders(tmp_path: Path, write_images: Writer, val: str) -> None:
    train = [f"train/{name}/1.jpg" for name in ("cat", "dog", "emu")]
    write_images(tmp_path, [*train, f"{val}/dog/1.jpg", f"{val}/emu/1.jpg"])
    for spec in (str(tmp_path), f"classes:{tmp_path}"):
        source = open_source(spec)
        assert source.kind == "class folders"
        assert source.train.labels == (0, 1, 2)
        assert source.val == ImageSet(tmp_path / val, ("dog/1.jpg", "emu/1.jpg"), (1, 2))


def test_a_pair_of_unlabelled_folders(tmp_path: Path, write_images: Writer) -> None:
    write_images(tmp_path, ["train/1.jpg", "validation/2.jpg"])
    source = open_source(str(tmp_path))
    assert source.val == ImageSet(tmp_path / "validation", ("2.jpg",), None)
    assert len(open_source(f"folder:{tmp_path}").train) == 2


def test_a_train_folder_alone_is_opened(tmp_path: Path, write_images: Writer) -> None:
    write_images(tmp_path, ["train/cat/1.jpg", "train/dog/1.jpg"])
    source = open_source(str(tmp_path))
    assert (source.classes, source.val) == (("cat", "dog"), None)


def test_unlabelled_validation_images_are_not_used(tmp_path: Path, write_images: Writer) -> None:
    write_images(tmp_path, ["train/cat/1.jpg", "train/dog/1.jpg", "test/1.jpg"])
    source = open_source(str(tmp_path))
    assert source.val is None
    assert "no labels, so they are not used" in source.description


def test_classes_called_train_and_test(tmp_path: Path, write_images: Writer) -> None:
    write_images(tmp_path, ["train/1.jpg", "test/1.jpg", "bus/1.jpg"])
    assert open_source(f"classes:{tmp_path}").classes == ("bus", "test", "train")


def test_foreign_validation_classes_are_listed(office: Path) -> None:
    with (office / "val.csv").open("a") as stream:
        stream.write("8,00000b.jpg,17\n9,00001b.jpg,4\n")
    with pytest.raises(DataError, match=r"2 class.*: 4, 17"):
        open_source(str(office))
    assert len(open_source(f"csv:{office / 'train.csv'}").train) == 12


def test_links_are_followed_once(tmp_path: Path, write_images: Writer) -> None:
    write_images(tmp_path / "elsewhere", ["1.jpg"])
    root = write_images(tmp_path / "root", ["cat/1.jpg"])
    (root / "cat" / "loop").symlink_to(root)
    (root / "dog").symlink_to(tmp_path / "elsewhere")
    assert find_images(root) == ("cat/1.jpg", "dog/1.jpg")


@pytest.mark.parametrize("spec", ["nowhere", "folder:nowhere", "demo:moon", "demo:bluemarble:big", "s3://bucket"])
def test_what_does_not_exist_names_what_does(spec: str) -> None:
    with pytest.raises(DataError, match="demo:bluemarble"):
        open_source(spec)


def test_a_file_that_is_no_source(tmp_path: Path, write_images: Writer) -> None:
    write_images(tmp_path, ["1.jpg"])
    with pytest.raises(DataError, match="not a CSV"):
        open_source(str(tmp_path / "1.jpg"))


def test_an_empty_folder_names_the_suffixes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No images.*\.jpg.*\.webp"):
        open_source(str(tmp_path))


def test_a_holdout_is_made_where_there_is_none(tmp_path: Path, write_images: Writer) -> None:
    write_images(tmp_path, [f"{c}/{i}.jpg" for c in ("cat", "dog") for i in range(10)])
    train, val, words = labelled_split(open_source(str(tmp_path)), seed=3)
    assert (len(train), len(val)) == (16, 4)
    assert val.labels == (0, 0, 1, 1)
    assert not set(train.names) & set(val.names)
    assert "20%" in words


def test_a_split_needs_two_classes(tmp_path: Path, write_images: Writer) -> None:
    write_images(tmp_path, ["train/1.jpg"])
    with pytest.raises(DataError, match=r"no labels.*classes:PATH"):
        labelled_split(open_source(str(tmp_path)))
    (tmp_path / "train.csv").write_text("filename,label\n1.jpg,cat\n")
    with pytest.raises(DataError, match=r"one class only \(cat\)"):
        labelled_split(open_source(str(tmp_path)))


def test_facts_and_fingerprint(office: Path) -> None:
    (office / "PROVENANCE.md").write_text("From here.")
    source = open_source(str(office))
    facts = data_facts(source, quarantined=2)
    assert (facts.n_train, facts.n_val, facts.n_unlabelled, facts.quarantined) == (12, 6, 0, 2)
    assert (facts.train_counts, facts.val_counts) == ([4, 4, 4], [2, 2, 2])
    assert facts.provenance == "From here."
    moved = office.rename(office.with_name("moved"))
    assert data_facts(open_source(str(moved))).fingerprint == facts.fingerprint
    (moved / "train.csv").write_text((moved / "train.csv").read_text().replace("00000.jpg,0", "00000.jpg,1"))
    relabelled = data_facts(open_source(str(moved))).fingerprint
    with (moved / "val" / "00000.jpg").open("ab") as stream:
        stream.write(b"x")
    assert len({facts.fingerprint, relabelled, data_facts(open_source(str(moved))).fingerprint}) == 3


def test_facts_of_given_sets(office: Path) -> None:
    source = open_source(str(office))
    facts = data_facts(source, source.train.subset([0, 1, 3]), None, "as asked")
    assert (facts.n_train, facts.n_val, facts.train_counts, facts.split) == (3, 0, [2, 1, 0], "as asked")
    assert data_facts(source, unlabelled_images(source)).n_unlabelled == 12


def test_image_set_is_checked_and_cut(tmp_path: Path) -> None:
    images = ImageSet(tmp_path, ("a", "b", "c"), (0, 1, 0))
    assert images.subset([2, 0]) == ImageSet(tmp_path, ("c", "a"), (0, 0))
    assert images.without({"b"}) == ImageSet(tmp_path, ("a", "c"), (0, 0))
    assert images.subset([]) == ImageSet(tmp_path, (), ())
    with pytest.raises(ValueError, match="3 names but 1 labels"):
        ImageSet(tmp_path, ("a", "b", "c"), (0,))
