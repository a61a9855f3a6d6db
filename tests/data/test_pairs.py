"""Every layout of pairs: found, paired, said aloud; what has no partner is told, what holds no pair is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from headstart.data.imageset import ImageSet
from headstart.data.pairs import PairSet, PairSource, has_pairs, open_pairs, pair_split
from headstart.data.sources import open_source
from headstart.errors import DataError

Writer = Callable[..., Path]


def paired(pairs: PairSet | None) -> list[tuple[str, str]]:
    assert pairs is not None
    return list(zip(pairs.images.names, pairs.masks.names, strict=True))


def seed_layout(root: Path, write_pairs: Writer, val: str = "validation") -> Path:
    for part, n in (("train", 4), (val, 2)):
        names = [f"{part}/{i:04}" for i in range(n)]
        write_pairs(root, [f"{name}_sat.jpg" for name in names], [f"{name}_mask.png" for name in names])
    return root


@pytest.mark.parametrize("val", ["val", "validation", "valid", "Test"])
def test_the_layout_of_the_seed(tmp_path: Path, write_pairs: Writer, val: str) -> None:
    source = open_pairs(str(seed_layout(tmp_path, write_pairs, val)))
    assert (source.kind, source.palette, source.unpaired) == ("named pairs", "deepglobe", {})
    assert paired(source.train) == [(f"{i:04}_sat.jpg", f"{i:04}_mask.png") for i in range(4)]
    assert source.train.images.root == source.train.masks.root == tmp_path / "train"
    assert source.val is not None
    assert source.val.images.root == tmp_path / val
    assert len(source.val) == 2
    assert "4 pairs: NAME_sat with NAME_mask" in source.description
    assert "validation: 2 pairs" in source.description
    assert source.folder == tmp_path
    assert has_pairs(str(tmp_path))


def test_named_pairs_without_sides_any_endings_nested_and_hidden(tmp_path: Path, write_pairs: Writer) -> None:
    images = ["10_SAT.JPG", "9_sat.tif", "deep/er/a.b_sat.png", "deep/9_sat.bmp", ".hidden_sat.png"]
    masks = ["10_mask.PNG", "9_Mask.tiff", "deep/er/a.b_mask.png", "deep/9_mask.bmp", ".git/x_mask.png"]
    source = open_pairs(str(write_pairs(tmp_path, images, masks)))
    assert paired(source.train) == [
        ("9_sat.tif", "9_Mask.tiff"),
        ("10_SAT.JPG", "10_mask.PNG"),
        ("deep/9_sat.bmp", "deep/9_mask.bmp"),
        ("deep/er/a.b_sat.png", "deep/er/a.b_mask.png"),
    ]
    assert (source.val, source.unpaired, source.split) == (None, {}, "")


def test_deepglobe_as_it_was_handed_out_has_no_masks_to_test_on(tmp_path: Path, write_pairs: Writer) -> None:
    write_pairs(tmp_path, ["train/1_sat.jpg", "train/2_sat.jpg"], ["train/1_mask.png", "train/2_mask.png"])
    write_pairs(tmp_path, ["valid/3_sat.jpg", "test/4_sat.jpg", "test/5_sat.jpg"], [])
    (tmp_path / "metadata.csv").write_text("image_id,split,sat_image_path,mask_path\n1,train,train/1_sat.jpg,x\n")
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nurban_land,0,255,255\n")
    source = open_pairs(str(tmp_path))
    assert (len(source.train), source.val, source.unpaired) == (2, None, {})
    assert f"{tmp_path / 'test'}: 2 images without masks, not used" in source.description
    write_pairs(tmp_path, [], ["test/4_mask.png", "test/5_mask.png"])
    assert len(open_pairs(str(tmp_path)).val or ()) == 2


LAYOUTS = {
    "images/ + masks/": (["images/{}.jpg"], ["masks/{}.png"], False),
    "Image/ + Labels/": (["Image/{}.jpg"], ["Labels/{}.png"], False),
    "img/ + annotations/": (["img/{}.jpg"], ["annotations/{}.tif"], False),
    "nested": (["images/a/{}.jpg"], ["masks/a/{}_mask.png"], False),
    "images/train": (["images/train/{}.tif", "images/val/{}.tif"], ["masks/train/{}.png", "masks/val/{}.png"], True),
    "images/training": (
        ["images/training/{}.jpg", "images/validation/{}.jpg"],
        ["annotations/training/{}.png", "annotations/validation/{}.png"],
        True,
    ),
    "train/images": (["train/images/{}.jpg", "test/images/{}.jpg"], ["train/masks/{}.png", "test/gt/{}.png"], True),
    "train/ + masks/train/": (["train/{}.png", "val/{}.png"], ["masks/train/{}.png", "masks/val/{}.png"], True),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_image_and_mask_folders(tmp_path: Path, write_pairs: Writer, layout: str) -> None:
    images, masks, has_val = LAYOUTS[layout]
    names = ["a", "b10", "b9"]
    write_pairs(
        tmp_path,
        [pattern.format(name) for pattern in images for name in names],
        [pattern.format(name) for pattern in masks for name in names],
    )
    source = open_pairs(str(tmp_path))
    assert (source.kind, source.palette, source.unpaired) == ("image and mask folders", None, {})
    sides = [source.train] + ([source.val] if source.val else [])
    assert len(sides) == 1 + has_val
    for side, image, mask in zip(sides, images, masks, strict=True):
        assert len(side) == 3
        for i, name in enumerate(["a", "b9", "b10"]):
            assert side.images.path(i) == tmp_path / image.format(name)
            assert side.masks.path(i) == tmp_path / mask.format(name)
    assert str(source.train.masks.root) in source.description


def test_a_second_mask_folder_is_tried_where_the_first_has_none(tmp_path: Path, write_pairs: Writer) -> None:
    write_pairs(tmp_path, ["images/1.jpg"], ["annotations/1.png"])
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "1.txt").write_text("0 0.5 0.5 1 1")
    assert open_pairs(str(tmp_path)).train.masks.root == tmp_path / "annotations"


def test_files_without_a_partner_are_told_with_the_reason(tmp_path: Path, write_pairs: Writer) -> None:
    images = ["images/1.jpg", "images/2.jpg", "images/3.jpg", "images/3.png", "images/5.jpg", "images/Six.jpg"]
    masks = ["masks/1.png", "masks/3.png", "masks/4.png", "masks/5.png", "masks/5.tif", "masks/six.png"]
    source = open_pairs(str(write_pairs(tmp_path, images, masks)))
    assert paired(source.train) == [("1.jpg", "1.png")]
    told = {Path(path).relative_to(tmp_path).as_posix(): reason for path, reason in source.unpaired.items()}
    assert told["images/2.jpg"] == f"no mask of its name in {tmp_path / 'masks'}"
    assert told["masks/4.png"] == f"no image of its name in {tmp_path / 'images'}"
    assert told["images/3.jpg"] == told["images/3.png"] == "2 images have this name (3.jpg, 3.png); keep one"
    assert told["masks/3.png"] == "2 images have its name (3.jpg, 3.png); keep one"
    assert told["masks/5.tif"] == "2 masks have this name (5.png, 5.tif); keep one"
    assert told["images/5.jpg"] == "2 masks have its name (5.png, 5.tif); keep one"
    assert {"images/Six.jpg", "masks/six.png"} < set(told)
    assert len(told) == 10
    assert "10 file(s) in no pair" in source.description
    assert "\n" not in source.description


def test_other_files_among_named_pairs(tmp_path: Path, write_pairs: Writer) -> None:
    source = open_pairs(str(write_pairs(tmp_path, ["1_sat.jpg", "2_sat.jpg", "map.jpg"], ["1_mask.png"])))
    assert paired(source.train) == [("1_sat.jpg", "1_mask.png")]
    assert set(source.unpaired) == {str(tmp_path / "2_sat.jpg"), str(tmp_path / "map.jpg")}


def write_csv(file: Path, rows: list[str], header: str = "image,mask") -> Path:
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


def test_a_csv_of_pairs_with_one_for_validation_beside(tmp_path: Path, write_pairs: Writer) -> None:
    write_pairs(tmp_path, ["pics/1.jpg", "pics/2.jpg", "pics/3.jpg"], ["ann/x.png", "ann/y.png", "ann/z.png"])
    train = write_csv(tmp_path / "train.csv", ["7,ann/x.png,pics/1.jpg", "8,ann/y.png,./pics/2.jpg"], "id,Mask,IMAGE")
    write_csv(tmp_path / "val.csv", ["pics/3.jpg,ann/z.png"])
    for spec in (str(tmp_path), str(train)):
        source = open_pairs(spec)
        assert source.kind == "csv of pairs"
        assert paired(source.train) == [("pics/1.jpg", "ann/x.png"), ("pics/2.jpg", "ann/y.png")]
        assert paired(source.val) == [("pics/3.jpg", "ann/z.png")]
        assert source.folder == tmp_path
        assert has_pairs(spec)
    assert open_pairs(f"csv:{train}").val is None
    assert len(open_pairs(str(tmp_path / "val.csv")).train) == 1


def test_a_csv_finds_images_and_masks_in_their_folders(tmp_path: Path, write_pairs: Writer) -> None:
    write_pairs(tmp_path, ["images/1.jpg", "images/2.jpg"], ["masks/1.png", "masks/2.png"])
    write_csv(tmp_path / "list.csv", ["2.jpg,2.png", "1.jpg,1.png", "1.jpg,1.png"])
    source = open_pairs(str(tmp_path))
    assert paired(source.train) == [("2.jpg", "2.png"), ("1.jpg", "1.png")]
    assert source.train.masks.root == tmp_path / "masks"
    write_csv(tmp_path / "other.csv", ["1.jpg,1.png"])
    with pytest.raises(DataError, match="several CSV files that list pairs"):
        open_pairs(str(tmp_path))


def test_what_a_csv_lists_and_is_not_there(tmp_path: Path, write_pairs: Writer) -> None:
    write_pairs(tmp_path, ["1.jpg", "2.jpg", "3.jpg"], ["1.png", "4.png"])
    source = open_pairs(str(write_csv(tmp_path / "train.csv", ["1.jpg,1.png", "2.jpg,2.png", "3.jpg,", "4.jpg,4.png"])))
    assert paired(source.train) == [("1.jpg", "1.png")]
    told = {Path(path).name: reason for path, reason in source.unpaired.items()}
    assert told["2.jpg"] == f"no mask: there is no {tmp_path / '2.png'}, which train.csv lists"
    assert told["3.jpg"] == "train.csv gives no mask for it"
    assert told["4.jpg"] == "train.csv lists it, and there is no such file"
    assert source.every_image[0].names == ("1.jpg", "2.jpg", "3.jpg")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "lists no pairs"),
        (["1.jpg"], "line 2: 1 values under a header of 2"),
        (["/etc/1.jpg,1.png"], "absolute"),
        (["1.jpg,../1.png"], r"without '\.\.'"),
        (["1.jpg,1.png", "1.jpg,2.png"], "listed with the masks '1.png' and '2.png'"),
        (["no.jpg,1.png"], "None of the 1 files"),
        (["1.jpg,no.png"], "None of the 1 files"),
        (["1.jpg,"], "holds no pair.*gives no mask for it"),
    ],
)
def test_csv_mistakes_are_named(tmp_path: Path, write_pairs: Writer, rows: list[str], message: str) -> None:
    write_pairs(tmp_path, ["1.jpg"], ["1.png"])
    with pytest.raises(DataError, match=message):
        open_pairs(str(write_csv(tmp_path / "train.csv", rows)))


def test_a_csv_without_the_columns(tmp_path: Path, write_pairs: Writer) -> None:
    file = write_csv(write_pairs(tmp_path, ["1.jpg"], ["1.png"]) / "train.csv", ["1.jpg,1"], "filename,label")
    assert not has_pairs(str(file))
    with pytest.raises(DataError, match="needs the columns image and mask"):
        open_pairs(str(file))


def test_sources_without_a_pair_are_refused_with_the_layouts(tmp_path: Path, write_pairs: Writer) -> None:
    (tmp_path / "empty").mkdir()
    write_pairs(tmp_path / "sat", ["train/1_sat.jpg", "train/2_sat.jpg"], [])
    write_pairs(tmp_path / "apart", ["images/a.jpg"], ["masks/b.png"])
    (tmp_path / "x.txt").write_text("x")
    for spec, message in (
        ("empty", "no pair of an image and a mask .no image files at all"),
        ("sat", "2 image files below it: train/1_sat.jpg"),
        ("apart", "2 image files below it: images/a.jpg, masks/b.png"),
        ("nowhere", "There is no"),
        ("x.txt", "is a file, but not a CSV"),
    ):
        assert not has_pairs(str(tmp_path / spec)), spec
        with pytest.raises(DataError, match=message) as caught:
            open_pairs(str(tmp_path / spec))
        assert "NAME_sat.jpg with NAME_mask.png" in str(caught.value)
        assert "\n" not in str(caught.value)
    for spec in (f"folder:{tmp_path}", f"classes:{tmp_path}", f"csv:{tmp_path}", "demo:moon", "demo:landcover:64"):
        with pytest.raises(DataError):
            open_pairs(spec)
    assert not has_pairs(f"folder:{tmp_path}")


def test_the_embedded_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    source = open_pairs("demo:bluemarble:128")
    assert (source.kind, source.palette, source.spec) == ("demo", "bluemarble", "demo:bluemarble:128")
    assert source.val is not None
    assert source.train.images.names == source.train.masks.names
    assert "blocks" in source.split
    assert "NASA" in source.provenance
    assert has_pairs("demo:bluemarble")
    assert open_source(str(source.folder)).classes, "the same folder still is a source of labelled images"
    assert open_source("demo:bluemarble:128").classes


def test_the_embedded_land_cover(tmp_path: Path, write_pairs: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = seed_layout(tmp_path / "landcover", write_pairs)
    monkeypatch.setattr("headstart.data.landcover.cached_landcover", lambda: folder)
    source = open_pairs("demo:landcover")
    assert (source.kind, source.palette, source.folder) == ("demo", "deepglobe", folder)
    assert "4 pairs for training and 2 for validation" in source.description
    assert has_pairs("demo:landcover")
    images = open_source("demo:landcover")
    assert (images.kind, images.spec, images.classes, images.train) == (
        "demo",
        "demo:landcover",
        (),
        source.train.images,
    )


def test_a_fifth_is_held_out_where_there_is_no_validation_side(tmp_path: Path, write_pairs: Writer) -> None:
    names = [f"{i}" for i in range(20)]
    write_pairs(tmp_path, [f"images/{name}.jpg" for name in names], [f"masks/{name}.png" for name in names])
    source = open_pairs(str(tmp_path))
    train, val, words = pair_split(source, seed=3)
    assert (len(train), len(val)) == (16, 4)
    assert sorted(train.images.names + val.images.names) == sorted(source.train.images.names)
    for side in (train, val):
        assert [name[:-4] for name in side.images.names] == [name[:-4] for name in side.masks.names]
    assert "20% of the pairs held out" in words
    assert "seed 3" in words
    assert "side by side" in words
    assert pair_split(source, seed=3) == (train, val, words)
    assert pair_split(source, seed=4)[1] != val


def test_a_split_needs_two_pairs_and_keeps_the_sources_own(tmp_path: Path, write_pairs: Writer) -> None:
    one = open_pairs(str(write_pairs(tmp_path / "one", ["images/1.jpg"], ["masks/1.png"])))
    with pytest.raises(DataError, match="1 pair only"):
        pair_split(one)
    own = open_pairs(str(seed_layout(tmp_path / "own", write_pairs)))
    assert pair_split(own) == (own.train, own.val, "train and validation pairs as the source gives them")
    two = open_pairs(
        str(write_pairs(tmp_path / "two", ["images/1.jpg", "images/2.jpg"], ["masks/1.png", "masks/2.png"]))
    )
    assert [len(side) for side in pair_split(two)[:2]] == [1, 1]


def held(source: PairSource) -> set[str]:
    return set(pair_split(source)[1].images.names)


def test_pretraining_reads_the_images_and_never_the_masks(tmp_path: Path, write_pairs: Writer) -> None:
    source = open_source(str(seed_layout(tmp_path / "seed", write_pairs)))
    assert (source.kind, source.classes, source.train.labels) == ("pairs", (), None)
    assert source.train.names == tuple(f"{i:04}_sat.jpg" for i in range(4))
    assert source.val is not None
    assert source.val.root == tmp_path / "seed" / "validation"
    assert "4 images, their masks are not read" in source.description
    names = [f"{i}" for i in range(10)]
    write_pairs(tmp_path / "folders", [f"images/{i}.jpg" for i in range(15)], [f"masks/{name}.png" for name in names])
    flat = open_source(str(tmp_path / "folders"))
    assert flat.train.root == tmp_path / "folders" / "images"
    assert flat.val is not None
    assert set(flat.val.names) == held(open_pairs(str(tmp_path / "folders")))
    assert len(flat.train) == 13, "images without a mask are trained on, those held out for validation are not"
    assert not set(flat.train.names) & set(flat.val.names)


def test_a_csv_of_pairs_is_opened_for_its_images(tmp_path: Path, write_pairs: Writer) -> None:
    write_pairs(tmp_path, ["1.jpg", "2.jpg"], ["1.png", "2.png"])
    file = write_csv(tmp_path / "train.csv", ["1.jpg,1.png", "2.jpg,2.png"])
    for spec in (str(tmp_path), str(file), f"csv:{file}"):
        source = open_source(spec)
        assert source.kind == "pairs"
        assert source.val is not None
        assert {*source.train.names, *source.val.names} == {"1.jpg", "2.jpg"}


def test_prefixes_and_labelled_images_win_over_pairs(tmp_path: Path, write_pairs: Writer) -> None:
    write_pairs(tmp_path, ["images/1.jpg", "images/2.jpg"], ["masks/1.png", "masks/2.png"])
    assert open_source(f"classes:{tmp_path}").classes == ("images", "masks")
    assert len(open_source(f"folder:{tmp_path}").train) == 4
    (tmp_path / "train.csv").write_text("filename,label\n1.jpg,cat\n2.jpg,dog\n")
    assert open_source(str(tmp_path)).classes == ("cat", "dog")


def test_pair_sets_are_cut_together(tmp_path: Path) -> None:
    pairs = PairSet(ImageSet(tmp_path, ("a", "b", "c")), ImageSet(tmp_path, ("x", "y", "z")))
    assert paired(pairs.subset([2, 0])) == [("c", "z"), ("a", "x")]
    assert paired(pairs.without({"b"})) == [("a", "x"), ("c", "z")]
    assert len({pairs, pairs.subset(range(3))}) == 1
    with pytest.raises(ValueError, match="1 images but 2 masks"):
        PairSet(ImageSet(tmp_path, ("a",)), ImageSet(tmp_path, ("x", "y")))
