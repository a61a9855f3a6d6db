"""What the terminal says of a result: every number with what it is."""

import pytest

from headstart.results import (
    EarlyWord,
    LearningRate,
    LookFigures,
    PretrainResult,
    StudyResult,
    StudyRow,
    Verdict,
    ViewsAudit,
)
from headstart.summaries import summary_lines


def study(metric: str, protocol: str | None) -> StudyResult:
    row = StudyRow(
        setting="ssl+supervised/frozen",
        start="ssl+supervised",
        trained="frozen",
        letter=None,
        label_fraction=0.1,
        n_labels=10,
        metric=metric,
        seeds=[0, 1],
        values=[0.5, 0.6],
        mean=0.55,
        sd=0.07,
        ci95=(0.51, 0.59),
        seconds=1.0,
    )
    return StudyResult(
        task="segment",
        backbone="b",
        recipe="default",
        metric=metric,
        protocol=protocol,
        split="",
        n_val=7,
        rows=[row],
        differences=[],
        label_savings=[],
        verdict=Verdict(sentence="So it is.", details=[], winner=None, label_fraction=0.1),
        pretrained=[],
        left_out=[],
        seconds=1.0,
    )


@pytest.mark.parametrize(
    ("metric", "protocol", "words"),
    [("miou", "deepglobe6", "mean IoU (protocol deepglobe6)"), ("accuracy", None, "accuracy")],
)
def test_the_table_of_a_study_says_what_it_counts(metric: str, protocol: str | None, words: str) -> None:
    head, row, *_ = summary_lines(study(metric, protocol), None)
    assert f"labels  {words}  95 % interval" in head
    assert head.index(words) + len(words) == row.index("55.0%") + len("55.0%")
    assert head.index("95 % interval") == row.index("51.0% to 59.0%")


def test_the_table_of_a_study_says_which_learning_rate_was_chosen_and_what_that_took() -> None:
    plain = study("accuracy", None)
    rate = LearningRate(
        grid=[0.3, 1.0], scores=[0.5, 0.4], chosen=0.3, lr=3e-4, folds=1, n_held_out=9, trainings=2, seconds=0.6
    )
    row = plain.rows[0].model_copy(update={"lr": rate})
    tuned = plain.model_copy(update={"rows": [row, row]})
    head, first, *_, last = summary_lines(tuned, None)
    assert head.index("rate") == first.index("x 0.3")
    assert last == "Training took 1 s in all, 1 s of it in 4 trainings to choose learning rates."
    untuned = row.model_copy(update={"lr": LearningRate(grid=[1.0], scores=[None], chosen=1.0, lr=1e-3)})
    for without in (plain, plain.model_copy(update={"rows": [untuned]})):
        head, first, *_, last = summary_lines(without, None)
        assert head.endswith("  n")
        assert first.endswith("  2")
        assert last == "Training took 1 s in all."


@pytest.mark.parametrize("ended", [True, False])
def test_a_pretraining_says_its_early_word_and_whether_it_was_right(ended: bool) -> None:
    word = EarlyWord(
        verdict="no gain so far",
        sentence="After 20 of 200 steps, nothing.",
        measure="retrieval",
        n_images=512,
        step=20,
        steps=200,
        before=LookFigures(retrieval=0.4),
        now=LookFigures(retrieval=0.41, retrieval_gain_se=0.02),
        floors={},
        verdict_without_labels="no gain so far",
        end_sentence="The early word was wrong." if ended else None,
    )
    result = PretrainResult(
        status="finished",
        backbone="b",
        start="scratch",
        recipe="default",
        feature_size=8,
        image_size=32,
        n_images=100,
        quarantined=0,
        epochs=2,
        steps=200,
        batch_size=8,
        loss_first=None,
        loss_last=None,
        feature_std=None,
        effective_rank=None,
        knn=None,
        knn_before=None,
        early_word=word,
        views=ViewsAudit(n_views=2, near_constant_share=0, threshold=4, warning=None, sheet="views.png"),
        weights=None,
        precision="fp32",
        seconds=1,
        images_per_second=1,
    )
    said = summary_lines(result, None)[1:]
    assert (
        said == ["Early word: no gain so far. After 20 of 200 steps, nothing."] + ["The early word was wrong."] * ended
    )
    assert len(summary_lines(result.model_copy(update={"early_word": None}), None)) == 1
