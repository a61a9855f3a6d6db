import pytest
from tests.reports import synthetic, synthetic_masks

from headstart.reports import class_figures
from headstart.reports.facts import read_facts
from headstart.reports.mistakes import mistakes_of
from headstart.reports.study_runs import Confusion, class_ious, pixels_confused
from headstart.results import SegmentResult


def test_a_study_of_segmentations_sums_pixels_over_the_seeds_of_the_best_setting(tmp_path):
    folder = synthetic_masks.write_segment_study(tmp_path / "study")
    facts = read_facts(folder)
    run = folder / "runs" / "ssl+supervised" / "full" / "labels-1"
    results = [SegmentResult.model_validate_json((run / f"seed-{i}" / "result.json").read_text()) for i in range(3)]
    assert facts.confusion.counted == "pixels"
    assert facts.confusion.n_seeds == 3
    assert facts.confusion.counts[2][3] == sum(result.scores.counts[2][3] for result in results)
    assert facts.confusion.ignored == synthetic_masks.CLASSES[-1]


def test_the_classes_of_every_setting_are_means_over_its_seeds(tmp_path):
    facts = read_facts(synthetic_masks.write_segment_study(tmp_path / "study"))
    assert len(facts.classes) == len(synthetic.SETTINGS)
    one = facts.classes[0]
    assert (one.start, one.trained, one.letter, one.n_seeds) == ("scratch", "full", "A", 3)
    values = next(row for row in facts.study.rows if (row.letter, row.label_fraction) == ("A", 1.0)).values
    ious = [synthetic_masks.make_segment(value, seed).scores.classes[0].iou for seed, value in enumerate(values)]
    assert one.ious[synthetic_masks.CLASSES[0]] == pytest.approx(sum(ious) / 3)
    assert one.ious[synthetic_masks.CLASSES[synthetic_masks.ABSENT]] is None


def test_a_class_that_is_absent_for_one_seed_is_the_mean_of_the_others():
    row = synthetic.make_rows((1.0,), 2)[0]
    results = [synthetic_masks.make_segment(0.8, seed) for seed in (0, 1)]
    name, score = results[0].scores.classes[0].name, results[0].scores.classes[0]
    results[0].scores.classes[0] = score.model_copy(update={"iou": None})
    assert class_ious(row, results).ious[name] == results[1].scores.classes[0].iou


def test_an_ignored_class_without_a_pixel_is_left_out_of_the_matrix():
    result = synthetic_masks.make_segment()
    counts = [[*row[:-1], 0] for row in result.scores.counts[:-1]] + [[0] * len(result.scores.labels)]
    bare = result.model_copy(update={"scores": result.scores.model_copy(update={"counts": counts})})
    confusion = pixels_confused([bare], "a")
    assert confusion.ignored is None
    assert len(confusion.counts) == len(confusion.counts[0]) == len(confusion.classes) == synthetic_masks.N_SCORED


def test_counts_that_fit_no_classes_give_no_matrix():
    result = synthetic_masks.make_segment()
    torn = result.scores.model_copy(update={"counts": result.scores.counts[:-1]})
    assert pixels_confused([result.model_copy(update={"scores": torn})], "a") is None
    assert pixels_confused([], "a") is None


def test_pixels_are_written_as_shares_and_told_in_millions():
    counts = ((9_960_000, 39_900, 100), (1_200_000, 1_200_000, 0), (7, 3, 0))
    confusion = Confusion("a/full", 1.0, 1, ("x", "y", "<unknown>"), counts, "pixels", "<unknown>")
    heat = class_figures.confusion_figure(confusion).data[0]
    assert heat["text"] == [["&gt;99", "&lt;1", "&lt;1"], ["50", "50", "0"], ["70", "30", "0"]]
    assert heat["hovertext"][1][0].replace("\u202f", " ").endswith("1.2 M of 2.4 M pixels (50.0 %)")
    said = mistakes_of(confusion, "Of").mistakes
    assert [(m.truth, m.given) for m in said] == [("y", "x"), ("x", "y"), ("x", "<unknown>")]
    assert said[0].share.replace("\u202f", " ") == "50.0 % (1.2 M of 2.4 M pixels)"
