"""What the terminal says of a result: every number with what it is."""

import pytest

from headstart.results import StudyResult, StudyRow, Verdict
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
