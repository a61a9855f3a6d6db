import json
import logging

import pytest
from tests.reports import synthetic

from headstart.errors import RunError
from headstart.reports.facts import read_facts
from headstart.reports.files import read_curves
from headstart.reports.pictures import LARGEST_BYTES, read_picture
from headstart.reports.study_runs import best_row
from headstart.results import ClassifyResult, TsneResult


def test_a_study_is_read_whole(tmp_path):
    facts = read_facts(synthetic.write_study(tmp_path / "study"))
    assert facts.kind == "study"
    assert [run.status for run in facts.pretrains] == ["finished", "collapsed"]
    assert facts.pretrains[1].reason == "The network gives all images nearly the same vector (spread 0.0041)."
    assert facts.pretrains[0].init_from == "runs/first half"
    assert [found.run for found in facts.tsne] == ["runs/ssl/full/labels-1/seed-0"]
    assert facts.samples is not None
    assert facts.setup is not None
    assert facts.setup.versions["headstart"] == "0.1.0"


def test_the_confusion_matrix_is_the_sum_over_the_seeds_of_the_best_setting(tmp_path):
    folder = synthetic.write_study(tmp_path / "study")
    facts = read_facts(folder)
    row = best_row(facts.study)
    assert row.mean == max(row.mean for row in facts.study.rows if row.label_fraction == 1.0)
    runs = [folder / "runs" / row.start / row.trained / "labels-1" / f"seed-{seed}" for seed in row.seeds]
    results = [ClassifyResult.model_validate_json((run / "result.json").read_text()) for run in runs]
    assert facts.confusion.n_seeds == 3
    assert facts.confusion.counts[1][2] == sum(result.confusion[1][2] for result in results)


def test_curves_know_gaps_and_torn_lines(tmp_path):
    synthetic.write_metrics(tmp_path / "metrics.jsonl", 50)
    curves = read_curves(tmp_path / "metrics.jsonl")
    loss = curves["train", "loss"]
    assert loss.steps == tuple(range(1, 51))
    assert [step for step, value in zip(loss.steps, loss.values, strict=True) if value is None] == [7]
    assert curves["watch", "knn"].steps == (10, 20, 30, 40, 50)


@pytest.mark.parametrize(
    "line", ["[]", "7", '"text"', '{"step": 1}', '{"step": "x", "split": "train", "name": "loss", "value": 1}', "{"]
)
def test_a_line_that_is_no_measurement_is_passed_over(tmp_path, line):
    good = json.dumps({"step": 1, "epoch": 1, "split": "train", "name": "loss", "value": 2.0, "time": 0.1})
    (tmp_path / "metrics.jsonl").write_text(f"{line}\n{good}\n")
    assert read_curves(tmp_path / "metrics.jsonl")["train", "loss"].values == (2.0,)


def test_without_a_result_the_remedy_depends_on_what_is_there(tmp_path):
    with pytest.raises(RunError, match="is not a directory"):
        read_facts(tmp_path / "absent")
    with pytest.raises(RunError, match="--out"):
        read_facts(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(RunError, match="--resume"):
        read_facts(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "not a result"),
        ('{"task": "miou"}', "'miou', which has no report"),
        ('{"task": "segment"}', "form of a SegmentResult"),
        ('{"task": "pretrain"}', "form of a PretrainResult"),
        ('{"rows": []}', "form of a StudyResult"),
        ('{"schema_version": 99, "rows": []}', "newer headstart"),
    ],
)
def test_a_result_that_does_not_fit_is_refused_with_a_reason(tmp_path, text, message):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(RunError, match=message):
        read_facts(tmp_path)


def test_damaged_side_files_are_left_out_and_said(tmp_path, caplog):
    folder = synthetic.write_study(tmp_path / "study")
    (folder / "data.json").write_text("{ torn")
    (folder / "samples.png").write_bytes(b"\x89PNG\r\n\x1a\n not an image")
    (folder / "config.json").write_text("[]")
    tsne = folder / "runs/ssl/full/labels-1/seed-0/tsne.json"
    result = TsneResult.model_validate_json(tsne.read_text())
    result.model_copy(update={"labels": result.labels[:-1]}).save(tsne)
    with caplog.at_level(logging.WARNING):
        facts = read_facts(folder)
    assert facts.data is None
    assert facts.samples is None
    assert facts.setup is None
    assert facts.tsne == ()
    assert all(name in caplog.text for name in ("data.json", "samples.png", "tsne.json"))


def test_a_pretraining_elsewhere_keeps_its_outcome(tmp_path):
    folder = synthetic.write_study(tmp_path / "study")
    study = synthetic.make_study()
    moved = study.pretrained[1].model_copy(update={"run": str(tmp_path / "gone")})
    study.model_copy(update={"pretrained": [moved]}).save(folder / "result.json")
    (run,) = read_facts(folder).pretrains
    assert run.result is None
    assert run.status == "collapsed"


def test_a_large_picture_is_made_smaller_and_a_small_one_kept(tmp_path):
    from random import Random

    from PIL import Image

    noise = Image.frombytes("RGB", (2400, 1200), Random(0).randbytes(2400 * 1200 * 3))
    noise.save(tmp_path / "large.png")
    picture = read_picture(tmp_path / "large.png")
    assert picture.uri.startswith("data:image/jpeg;base64,")
    assert len(picture.uri) < LARGEST_BYTES * 4 / 3 + 100
    assert picture.width == 2 * picture.height
    synthetic.write_picture(tmp_path / "small.png", 90, 60)
    small = read_picture(tmp_path / "small.png")
    assert small.uri.startswith("data:image/png;base64,")
    assert (small.width, small.height) == (90, 60)
