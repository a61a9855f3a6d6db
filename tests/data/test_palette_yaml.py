"""Palettes from YAML: what they mean, and every mistake in one named at once, with its class and its line."""

from pathlib import Path

import numpy as np
import pytest

from headstart.data.palette_files import palette_named
from headstart.data.palette_yaml import example, read_palette
from headstart.data.palettes import DEEPGLOBE, Palette
from headstart.errors import DataError

FARM = """\
name: farm
classes:
  - {name: cloud, colour: [0, 0, 0], index: 0, ignore: true}
  - name: field
    colour: '#ffff00'
    index: 11
  - {name: forest, colour: [0, 255, 0], index: 20, aliases: ['#007F00', [1, 2, 3], 21]}
"""


def written(tmp_path: Path, text: str, name: str = "palette.yaml") -> Path:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


def test_the_ignored_class_moves_to_the_end_and_keeps_its_number(tmp_path: Path) -> None:
    palette = read_palette(written(tmp_path, FARM))
    assert palette == Palette(
        name="farm",
        classes=("field", "forest", "cloud"),
        colours=((255, 255, 0), (0, 255, 0), (0, 0, 0)),
        ignore_index=2,
        aliases=(((0, 127, 0), 1), ((1, 2, 3), 1), (21, 1)),
        values=(11, 20, 0),
    )
    assert palette.to_indices(np.array([[0, 11, 20, 21]], dtype=np.uint8)).tolist() == [[2, 0, 1, 1]]
    assert palette.to_values(np.array([[0, 1, 2]])).tolist() == [[11, 20, 0]]
    assert palette.scored == ("field", "forest")


def test_index_and_name_may_be_left_out(tmp_path: Path) -> None:
    text = "classes: [{name: a, colour: [1, 1, 1], ignore: true}, {name: b, colour: [2, 2, 2]}]"
    palette = read_palette(written(tmp_path, text, "mine.yml"))
    assert (palette.name, palette.classes, palette.values) == ("mine", ("b", "a"), (1, 0))


def test_deepglobe_as_a_file_is_deepglobe(tmp_path: Path) -> None:
    rows = [
        f"  - {{name: {name}, colour: {list(colour)}" + (", ignore: true, aliases: ['#ff0000']}" if i == 6 else "}")
        for i, (name, colour) in enumerate(zip(DEEPGLOBE.classes, DEEPGLOBE.colours, strict=True))
    ]
    text = "\n".join(["name: deepglobe", "threshold: 128", "classes:", *rows])
    assert read_palette(written(tmp_path, text)) == DEEPGLOBE


def test_the_example_can_be_read(tmp_path: Path) -> None:
    text = example([((1, 2, 3), 0), ((4, 5, 6), 255)]).replace("NAME", "a", 1).replace("NAME", "b", 1)
    assert read_palette(written(tmp_path, text)).values == (0, 255)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    text = """\
name: farm
classes:
  - {name: field, color: [255, 255, 0], index: 0}
  - {name: forest, colour: [0, 256, 0], index: 1}
  - {name: no, colour: '#12345', index: -1}
  - name: water
    colour: #0000ff
    index: 2
  - {name: town, colour: [9, 9, 9], index: 3, index: 4, ignore: perhaps}
  - {name: sand, colour: [8, 8, 8], index: 5, aliases: [[1, 2], 70000]}
  - {name: sand, colour: [8, 8, 8], index: 5}
  - rock
"""
    path = written(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_palette(path)
    lines = str(caught.value).splitlines()
    for expected in (
        "line 3, class 'field': colour is missing",
        "line 3, class 'field': color is not known; did you mean colour?",
        "line 4, class 'forest': colour [0, 256, 0] is neither [r, g, b]",
        "line 5, class 3 of the list: name False is not text; put it in quotes",
        "line 5, class 3 of the list: colour '#12345' is neither",
        "line 5, class 3 of the list: index -1",
        "line 6, class 'water': colour None is empty; put quotes around",
        "line 9, class 'town': index is given twice; is a dash missing?",
        "line 9, class 'town': ignore 'perhaps'",
        "line 10, class 'sand': aliases no. 1 [1, 2] is neither",
        "line 10, class 'sand': aliases no. 2 70000 is neither",
        "line 12, class 8 of the list: 'rock' is not a class",
    ):
        assert any(f"{path}, {expected}" in line for line in lines), expected
    assert f"{len(lines) - 1} mistake(s)" in lines[0]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("{name: a, colour: [0,0,0]}, {name: a, colour: [1,1,1]}", "class 'a': name a is that of class 'a' too"),
        (
            "{name: a, colour: [0,0,0]}, {name: b, colour: [0,0,0]}",
            r"class 'b': colour \[0, 0, 0\] is that of class 'a'",
        ),
        ("{name: a, colour: [0,0,0], aliases: [[0,0,0]]}", "given twice"),
        (
            "{name: a, colour: [0,0,0], index: 1}, {name: b, colour: [1,1,1], index: 1}",
            "'b': index 1 is that of class 'a'",
        ),
        ("{name: a, colour: [0,0,0]}, {name: b, colour: [1,1,1], aliases: [0]}", "'b': index 0 is that of class 'a'"),
        ("{name: a, colour: [0,0,0], index: 1}, {name: b, colour: [1,1,1]}", "'b': index is missing; either each"),
        ("{name: a, colour: [0,0,0], ignore: true}", "no class is left"),
        (
            "{name: a, colour: '#000000', ignore: true}, {name: b, colour: '#010101', ignore: true}",
            "'b': ignore is true for more than one class",
        ),
        ("", "classes"),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, classes: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_palette(written(tmp_path, f"classes: [{classes}]"))


def test_a_colour_that_a_threshold_never_gives(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"class 'a': colour \[0, 100, 0\] never occurs"):
        read_palette(written(tmp_path, "threshold: 128\nclasses: [{name: a, colour: [0, 100, 0]}]"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins like this:\nname: mine\nclasses:"),
        ("- a\n- b", "begins like this"),
        ("name: x", "classes is missing"),
        ("classes: {a: 1}", "classes .*list"),
        ("classes: [", "is not YAML.*line"),
        ("classes: !!python/object/apply:os.system ['true']", "is not YAML"),
        ("treshold: 3\nclasses: [{name: a, colour: [0,0,0]}]", "did you mean threshold"),
        ("threshold: 0\nclasses: [{name: a, colour: [0,0,0]}]", "threshold 0"),
        ("classes: [" + ", ".join(f"{{name: c{i}, colour: [{i}, 0, 0]}}" for i in range(256)) + "]", "at most 255"),
        ("a: " + "[" * 1500, "is not YAML"),
        ("classes: [1, [2], null, {}]", "name is missing"),
        ("? [1, 2]\n: 3\nclasses: [{name: a, colour: [0,0,0]}]", "is no palette|not known|not YAML"),
        ("3: 4\nclasses: [{name: a, colour: [0,0,0]}]", "3 is not known"),
        ("classes: [{name: a, colour: [0,0,0], 3: 4}]", "3 is not known"),
    ],
)
def test_files_that_are_no_palette(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_palette(written(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_palette(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes("name: Möwe".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        read_palette(tmp_path / "latin.yaml")


def test_palettes_by_name_or_file(tmp_path: Path) -> None:
    assert palette_named("deepglobe") is DEEPGLOBE
    assert palette_named(str(written(tmp_path, FARM, "farm.yaml"))).name == "farm"
    with pytest.raises(DataError, match=r"Did you mean deepglobe.*bluemarble"):
        palette_named("deepglob")
    with pytest.raises(DataError, match="cannot be read"):
        palette_named(str(tmp_path / "none.yaml"))
