"""``--refine sam`` of predict and evaluate, and ``masks --classify``, from inputs to files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from pycocotools.coco import COCO
from tests.inference.synthetic import PALETTE, patches, write_raster
from tests.sam.colours import ByColour, WithWhole, scene, write_png

import headstart.sam.refiner  # noqa: F401  (before anything is put in the place of its load_engine)
from headstart import cli
from headstart.analysis.segmentation import Scorer
from headstart.configs.inference import EvaluateConfig, PredictConfig, TilingConfig
from headstart.configs.masks import MasksConfig, SamConfig
from headstart.data.masks import read_mask
from headstart.errors import ConfigError, RunError
from headstart.inference.tiles import predict_image
from headstart.models.segmenter_files import export_segmenter, read_segmenter
from headstart.models.segmenters import build_segmenter
from headstart.results import MaskedImage, MasksResult, MiouResult, PredictResult
from headstart.sam.files import read_masks
from headstart.sam.record import dense
from headstart.sam.refine import MaskRegions, refine
from headstart.sam.verb import Engine, masks
from headstart.verbs import evaluate, predict

MARGIN = 0.05


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segmentation run of three outputs, with weights that tell classes apart at random."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    segmenter = build_segmenter("unet", "tu-test_resnet", 3, 64)
    with torch.no_grad():
        list(segmenter.parameters())[-2].mul_(15)  # the last layer's weights: random ones are sure of nothing
    facts = {"palette": PALETTE.to_dict(), "ignored": "skip", "image_size": 64, "protocol": "ignore"}
    export_segmenter(segmenter, folder / "export", facts)
    (folder / "config.json").write_text(json.dumps({"schema_version": 1, "verb": "segment", "config": {}}))
    (folder / "result.json").write_text("{}")
    return folder


def use(monkeypatch: pytest.MonkeyPatch, generator: Any) -> None:
    """Let everything take ``generator`` in place of a model of Segment Anything; None: none may be loaded."""
    engine = Engine(generator, None, "fp32")
    for place in ("verb", "refiner"):
        monkeypatch.setattr(
            f"headstart.sam.{place}.load_engine",
            lambda config: engine if generator is not None else pytest.fail("nothing needs the model"),
        )


def shares(run: Path, pixels: np.ndarray) -> torch.Tensor:
    """What the run's model answers for an image (H, W, 3)."""
    segmenter, _ = read_segmenter(run / "export")
    image = torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, 2, 0)))
    return predict_image(segmenter, image, segmenter.mean, segmenter.std, TilingConfig(), 64, False)


def refined(run: Path, out: Path, *inputs: Path, **changes: Any) -> PredictResult:
    settings = {"refine": "sam", "refine_margin": MARGIN, "precision": "fp32", **changes}
    return predict(PredictConfig(run=run, out=out, inputs=tuple(map(str, inputs)), **settings))


@pytest.mark.parametrize("size", [(50, 60), (90, 120)], ids=["one tile", "several tiles"])
def test_an_image_gets_one_class_in_each_sure_region(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    use(monkeypatch, WithWhole())
    folder = tmp_path / "in"
    pictures = {f"{name}.png": scene(*size, seed=seed) for seed, name in enumerate(("a", "b"))}
    for name, pixels in pictures.items():
        write_png(folder / name, pixels)
    refined(run, tmp_path / "out", folder)
    for name, pixels in pictures.items():
        probabilities = shares(run, pixels)
        found = read_masks(tmp_path / "out" / "regions" / name.replace(".png", "_masks.json")).masks
        expected = refine(probabilities, found, MARGIN)
        assert (expected != probabilities.argmax(0).numpy()).mean() > 0.02
        made = read_mask(tmp_path / "out" / name.replace(".png", "_mask.png"), PALETTE)
        assert (made == expected).mean() > 0.999  # ties may fall otherwise in another batch


def raster_scene(path: Path) -> np.ndarray:
    pixels = np.maximum(scene(130, 170, seed=3), 1)
    pixels[:, :40] = 0
    layout = {"nodata": 0, "tiled": True, "blockxsize": 64, "blockysize": 64}
    write_raster(path, np.moveaxis(pixels, 2, 0), **layout)
    return pixels


def test_a_raster_is_refined_by_strips_and_keeps_its_nodata(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, ByColour())
    source, out = tmp_path / "r.tif", tmp_path / "out"
    pixels = raster_scene(source)
    sam = {"sam": {"tiles": {"size": 96, "overlap": 0.3}}}
    refined(run, out, source, probabilities=True, polygons="gpkg", **sam)
    with rasterio.open(out / "r.tif") as raster:
        assert raster.nodata == 0
        values = raster.read(1)
    assert np.array_equal(values == 0, ~pixels.any(axis=2))
    found = read_masks(out / "regions" / "r_masks.json")
    assert found.tiles > 1
    valid = torch.from_numpy(pixels.any(axis=2))
    probabilities = shares(run, pixels)  # but for tiles that are all nodata, which are left out
    expected = refine(probabilities, found.masks, MARGIN, valid)
    own = np.where(valid.numpy(), probabilities.argmax(0).numpy(), 255)
    known = valid.numpy()
    made = np.array([1, 2, 5])[np.minimum(expected, 2)]
    assert (made == values)[known].mean() > 0.999
    assert (expected != own).mean() > 0.02

    whole = (out / "r.tif").read_bytes()
    plain = tmp_path / "plain"
    refined(run, plain, source, probabilities=True, refine="none", refine_margin=0.2)
    assert (plain / "r.tif").read_bytes() != whole
    assert (plain / "r_probabilities.tif").read_bytes() == (out / "r_probabilities.tif").read_bytes()


def test_parts_of_columns_and_an_interruption_change_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "r.tif"
    raster_scene(source)
    use(monkeypatch, ByColour())
    refined(run, tmp_path / "whole", source)
    with rasterio.open(tmp_path / "whole" / "r.tif") as raster:
        whole = raster.read()

    monkeypatch.setattr("headstart.inference.raster.BUFFER_BYTES", 4 * 3 * 64 * 64)
    refined(run, tmp_path / "columns", source)
    with rasterio.open(tmp_path / "columns" / "r.tif") as raster:
        assert np.array_equal(raster.read(), whole)
    columns = (tmp_path / "columns" / "r.tif").read_bytes()

    calls, sums = [], MaskRegions.sums

    def stopping(self: MaskRegions, strip: Any, left: int) -> np.ndarray:
        calls.append(strip.row)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return sums(self, strip, left)

    with monkeypatch.context() as patch:
        patch.setattr(MaskRegions, "sums", stopping)
        with pytest.raises(KeyboardInterrupt):
            refined(run, tmp_path / "stopped", source)
        assert (tmp_path / "stopped" / "r.tif.parts").is_dir()
    use(monkeypatch, None)
    refined(run, tmp_path / "stopped", source)
    assert (tmp_path / "stopped" / "r.tif").read_bytes() == columns


def test_another_margin_needs_no_masks_again_and_never_mixes(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, WithWhole())
    source, out = write_png(tmp_path / "a.png", scene(50, 60)), tmp_path / "out"
    refined(run, out, source)
    before = (out / "a_mask.png").read_bytes()
    use(monkeypatch, None)
    assert refined(run, out, source).pixels == 0
    for other in ({"refine_margin": 0.9}, {"refine": "none", "refine_margin": 0.2}):
        with pytest.raises(RunError, match="--overwrite"):
            refined(run, out, source, **other)
    refined(run, out, source, refine_margin=1.0, overwrite=True)
    own = tmp_path / "own"
    refined(run, own, source, refine="none", refine_margin=0.2)
    assert (out / "a_mask.png").read_bytes() == (own / "a_mask.png").read_bytes() != before
    sparse = SamConfig(points_per_side=8)
    with pytest.raises(RunError, match="--overwrite"):
        refined(run, out, source, sam=sparse, refine_margin=1.0)
    use(monkeypatch, ByColour())
    refined(run, out, source, sam=sparse, overwrite=True)
    assert len(read_masks(out / "regions" / "a_masks.json").masks) > 1


def test_an_image_without_masks_keeps_the_models_answer(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, ByColour())
    black = write_png(tmp_path / "in" / "a.png", np.zeros((40, 50, 3), np.uint8))
    grey = write_raster(tmp_path / "in" / "b.tif", np.zeros((3, 40, 50), np.uint8))
    for out, refine_by in (("sam", "sam"), ("own", "none")):
        margin = MARGIN if refine_by == "sam" else 0.2
        refined(run, tmp_path / out, black, grey, refine=refine_by, refine_margin=margin)
    for name in ("a_mask.png", "b.tif"):
        assert (tmp_path / "sam" / name).read_bytes() == (tmp_path / "own" / name).read_bytes()


def test_what_cannot_be_decoded_is_set_aside(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ByColour())
    good = write_png(tmp_path / "in" / "good.png", scene(40, 50))
    (tmp_path / "in" / "bad.png").write_bytes(good.read_bytes()[:60])
    write_raster(tmp_path / "in" / "wide.tif", patches(20, 20).astype(np.uint16))
    result = refined(run, tmp_path / "out", tmp_path / "in")
    assert [Path(name).name for name in result.failed] == ["bad.png", "wide.tif"]
    assert [Path(name).name for name in result.files] == ["good_mask.png"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """segment-anything's own network, small, as a file."""
    from tests.sam.tiny_sam import reference_sam, saved

    return saved(reference_sam(), tmp_path_factory.mktemp("sam") / "tiny.pth")


def sam_flags(checkpoint: Path, prefix: str = "") -> list[str]:
    """Few points, and thresholds that random weights pass."""
    settings = {
        "checkpoint": checkpoint,
        "points-per-side": 4,
        "pred-iou-thresh": 0,
        "stability-score-thresh": 0,
        "box-nms-thresh": 1,
        "precision": "fp32",
    }
    return [word for name, value in settings.items() for word in (f"--{prefix}{name}", str(value))]


def test_from_the_command_line_with_a_network_of_segment_anything(
    run: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write_png(tmp_path / "a.png", scene(90, 100)), tmp_path / "out"
    words = ["predict", str(run), str(source), "--out", str(out), "--refine", "sam", "--refine-margin", "0"]
    words += ["--precision", "fp32"]
    assert cli.main([*words, *sam_flags(checkpoint, "sam.")]) == 0
    found = read_masks(out / "regions" / "a_masks.json").masks
    assert found
    probabilities = shares(run, np.asarray(Image.open(source)))
    made = read_mask(out / "a_mask.png", PALETTE)
    assert (made == refine(probabilities, found, 0.0)).mean() > 0.999
    again = ["masks", str(source), "--out", str(tmp_path / "m"), "--classify", str(run), "--overlay-px", "64"]
    assert cli.main([*again, *sam_flags(checkpoint)]) == 0
    assert "Masks of each class" in capsys.readouterr().out
    classified = read_masks(tmp_path / "m" / "a_masks.json").masks
    assert [mask.rle for mask in classified] == [mask.rle for mask in found]
    assert all(mask.category_id in (1, 2, 3) for mask in classified)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--refine-margin", "0.1"], "--refine-margin is a setting of --refine sam"),
        (["--sam.model", "vit_b"], "--sam.* are settings of --refine sam"),
        (["--refine", "sam", "--sam.checkpoint", "nowhere.pth"], "there is no such file"),
        (["--refine", "sam", "--sam.exact", "--sam.precision", "bf16"], "exact"),
    ],
)
def test_mistakes_end_with_a_line_and_write_nothing(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], told: str
) -> None:
    source = write_png(tmp_path / "a.png", scene(40, 50))
    assert cli.main(["predict", str(run), str(source), "--out", str(tmp_path / "out"), *flags]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_classification_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(
        json.dumps({"schema_version": 1, "verb": "classify", "config": {}, "versions": {}})
    )
    (tmp_path / "run" / "result.json").write_text("{}")
    source = write_png(tmp_path / "a.png", scene(40, 50))
    run, out = str(tmp_path / "run"), str(tmp_path / "out")
    for words in (
        ["predict", run, str(source), "--out", out, "--refine", "sam"],
        ["evaluate", run, "--data", str(tmp_path), "--refine", "sam"],
        ["masks", str(source), "--out", out, "--classify", run],
    ):
        assert cli.main(words) == 2
        assert "classif" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Scenes of discs, each disc of a class of its own and the rest unknown or red."""
    for number in range(3):
        pixels = scene(80, 100, seed=10 + number)
        codes = pixels.astype(int) @ [1, 7, 31] % 3
        codes[:5] = 3
        write_png(tmp_path / "pairs" / f"{number}_sat.png", pixels)
        write_png(tmp_path / "pairs" / f"{number}_mask.png", PALETTE.to_colours(codes))
    return tmp_path / "pairs"


def test_evaluate_scores_the_masks_before_and_after(
    run: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, WithWhole())
    out = tmp_path / "out"
    settings: dict[str, Any] = {"run": run, "data": str(pairs), "precision": "fp32"}
    told = evaluate(EvaluateConfig(**settings, out=out, refine="sam", refine_margin=MARGIN))
    plain = evaluate(EvaluateConfig(**settings, out=tmp_path / "plain"))
    assert isinstance(told, MiouResult)
    assert isinstance(plain, MiouResult)
    assert told.scores == plain.scores
    assert plain.refined is None
    scorer = Scorer(PALETTE.classes, PALETTE.n_scored)
    for number in range(3):
        pixels = np.asarray(Image.open(pairs / f"{number}_sat.png"))
        found = read_masks(out / "regions" / f"{number}_masks.json").masks
        expected = refine(shares(run, pixels), found, MARGIN)
        written = read_mask(next((out / "masks").rglob(f"{number}*.png")), PALETTE)
        assert (written == expected).mean() > 0.999
        scorer.add(read_mask(pairs / f"{number}_mask.png", PALETTE), written)
    assert told.refined == scorer.scores("ignore")
    assert told.refined is not None
    assert told.refined.miou != told.scores.miou
    assert MiouResult.model_validate_json((out / "result.json").read_text()) == told

    use(monkeypatch, None)  # the masks are there
    words = ["evaluate", str(run), "--data", str(pairs), "--out", str(out), "--refine", "sam", "--precision", "fp32"]
    assert cli.main([*words, "--refine-margin", str(MARGIN)]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Refined (sam, vit_h, margin 0.05)"))
    mean = next(line for line in lines[start:] if line.startswith("mean"))
    assert told.scores.miou is not None
    assert told.refined.miou is not None
    change = 100 * (told.refined.miou - told.scores.miou)
    assert f"{told.scores.miou:.1%}" in mean
    assert f"{told.refined.miou:.1%}" in mean
    assert f"{change:+.1f}" in mean
    assert [line.split()[0] for line in lines[start + 3 : start + 6]] == ["red", "green", "blue"]


def test_evaluate_without_a_directory_leaves_nothing(
    run: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, ByColour())
    before = sorted(tmp_path.rglob("*"))
    told = evaluate(EvaluateConfig(run=run, data=str(pairs), precision="fp32", refine="sam"))
    assert isinstance(told, MiouResult)
    assert told.refined is not None
    assert sorted(tmp_path.rglob("*")) == before


def classified(run: Path, out: Path, *inputs: Path, **changes: Any) -> MasksResult:
    settings: dict[str, Any] = {"classify": run, "precision": "fp32", **changes}
    return masks(MasksConfig(inputs=tuple(map(str, inputs)), out=out, **settings))


def check_classes(image: MaskedImage, out: Path, probabilities: torch.Tensor, valid: np.ndarray) -> None:
    """Every mask has the class of the largest mean over its valid pixels."""
    found = read_masks(out / image.masks)
    assert [each["name"] for each in found.categories] == list(PALETTE.classes)
    for mask in found.masks:
        means = probabilities.numpy()[:, dense(mask) & valid].mean(axis=1)
        assert mask.category_id == 1 + means.argmax()
        assert mask.class_probability == pytest.approx(means.max(), abs=1e-5)
    numbers = [mask.category_id for mask in found.masks]
    assert image.classes == {name: numbers.count(i) for i, name in enumerate(PALETTE.classes, 1)}


def test_masks_get_classes_in_the_json_and_in_coco(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, WithWhole())
    folder, out = tmp_path / "in", tmp_path / "out"
    pixels = scene(90, 120, seed=5)
    write_png(folder / "a.png", pixels)
    wide = raster_scene(folder / "r.tif")
    result = classified(run, out, folder)
    assert result.classified_by == str(run)
    check_classes(result.images[0], out, shares(run, pixels), np.ones((90, 120), bool))
    check_classes(result.images[1], out, shares(run, wide), wide.any(axis=2))
    coco = COCO(str(out / "coco.json"))
    assert {each["id"]: each["name"] for each in coco.loadCats(coco.getCatIds())} == dict(enumerate(PALETTE.classes, 1))
    found = [mask for name in ("a", "r") for mask in read_masks(out / f"{name}_masks.json").masks]
    assert [each["category_id"] for each in coco.anns.values()] == [mask.category_id for mask in found]
    assert [each["score"] for each in coco.anns.values()] == [mask.class_probability for mask in found]
    assert len({mask.category_id for mask in found}) > 1


def test_a_raster_in_parts_of_columns_gets_the_same_classes(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, ByColour())
    raster_scene(tmp_path / "r.tif")
    classified(run, tmp_path / "whole", tmp_path / "r.tif")
    monkeypatch.setattr("headstart.sam.classify.BUFFER_BYTES", 1)
    monkeypatch.setattr("headstart.sam.classify.BLOCK", 64)
    classified(run, tmp_path / "columns", tmp_path / "r.tif")
    whole, columns = (read_masks(tmp_path / name / "r_masks.json").masks for name in ("whole", "columns"))
    assert [mask.category_id for mask in columns] == [mask.category_id for mask in whole]
    for one, other in zip(whole, columns, strict=True):
        assert one.class_probability == pytest.approx(other.class_probability, abs=1e-5)


def test_classes_are_added_to_masks_that_are_there(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, WithWhole())
    source, out = write_png(tmp_path / "a.png", scene(80, 90)), tmp_path / "out"
    plain = classified(run, out, source, classify=None)
    assert plain.images[0].classes is None
    assert "category_id" not in (out / "a_masks.json").read_text()
    before = {name: (out / name).stat().st_mtime_ns for name in ("a_ids.png", "a_overlay.png")}
    shapes = [mask.rle for mask in read_masks(out / "a_masks.json").masks]
    use(monkeypatch, None)
    told = classified(run, out, source)
    assert [mask.rle for mask in read_masks(out / "a_masks.json").masks] == shapes
    assert sum((told.images[0].classes or {}).values()) == len(shapes)
    assert before == {name: (out / name).stat().st_mtime_ns for name in before}
    stamp = (out / "a_masks.json").stat().st_mtime_ns
    classified(run, out, source)
    assert (out / "a_masks.json").stat().st_mtime_ns == stamp
    with pytest.raises(RunError, match="--overwrite"):
        classified(run, out, source, classify=None)


def test_only_a_segmentation_run_classifies(run: Path, tmp_path: Path) -> None:
    source = write_png(tmp_path / "a.png", scene(40, 50))
    with pytest.raises(RunError, match="not a run directory"):
        classified(tmp_path, tmp_path / "out", source)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps({"schema_version": 1, "verb": "classify", "config": {}}))
    (tmp_path / "run" / "result.json").write_text("{}")
    with pytest.raises(ConfigError, match="segmentation run"):
        classified(tmp_path / "run", tmp_path / "out", source)
    assert not (tmp_path / "out").exists()
