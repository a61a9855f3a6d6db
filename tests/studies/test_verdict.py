"""The verdict says exactly what the numbers allow: no winner without an interval above zero."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from headstart.results import LabelSaving, PairedDifference, StudyRow
from headstart.studies.statistics import label_savings, paired_differences, sample_sd, t_interval
from headstart.studies.verdict import make_verdict


def row(
    setting: str,
    values: list[float],
    fraction: float = 0.1,
    seeds: list[int] | None = None,
    metric: str = "accuracy",
) -> StudyRow:
    start, _, trained = setting.rpartition("/")
    return StudyRow(
        setting=setting,
        start=start,
        trained=trained,
        letter=None,
        label_fraction=fraction,
        n_labels=round(1013 * fraction),
        metric=metric,
        seeds=list(range(len(values))) if seeds is None else seeds,
        values=values,
        mean=float(np.mean(values)),
        sd=sample_sd(values),
        ci95=t_interval(values),
        seconds=1.0,
    )


def verdict(*rows: StudyRow, protocol: str | None = None):
    return make_verdict(rows, paired_differences(rows), label_savings(rows), protocol)


CLEAR = [
    row("scratch/full", [0.588, 0.589, 0.590]),
    row("supervised/full", [0.710, 0.712, 0.714]),
    row("ssl/full", [0.558, 0.560, 0.561]),
    row("scratch/frozen", [0.200, 0.201, 0.199]),
    row("ssl+supervised/full", [0.690, 0.689, 0.691]),
    row("scratch/full", [0.750, 0.751, 0.752], 1.0),
    row("supervised/full", [0.850, 0.852, 0.853], 1.0),
]


def test_a_clear_winner_is_told_in_one_exact_sentence():
    result = verdict(*CLEAR)
    assert result.winner == "supervised/full"
    assert result.label_fraction == 0.1
    # Differences 12.2, 12.3, 12.4: sd 0.1, half width 4.302653 * 0.1 / sqrt(3) = 0.248. Saving: the means rise from
    # 0.712 to 0.8517, and 0.751 is reached at 10 ** (-1 + 0.039 / 0.1397) = 19.0 %.
    assert result.sentence == (
        "With 10 % of the labels (101 images), start from supervised and train everything: 71.2 % accuracy, "
        "+12.3 points over scratch/full (95 % interval 12.1 to 12.5, n=3 seeds). "
        "It needs about 19 % of the labels to reach what scratch/full reaches with all of them (75.1 %)."
    )


@pytest.mark.parametrize("protocol", ["ignore", "deepglobe6", "per-image"])
def test_a_mean_iou_is_named_with_its_protocol_wherever_it_stands(protocol):
    rows = [each.model_copy(update={"metric": "miou"}) for each in CLEAR]
    result = verdict(*rows, protocol=protocol)
    assert result.sentence.startswith(
        "With 10 % of the labels (101 images), start from supervised and train everything: 71.2 % mean IoU (protocol "
        f"{protocol}), +12.3 points over scratch/full (95 % interval 12.1 to 12.5, n=3 seeds)."
    )
    words = " ".join([result.sentence, *result.details])
    assert "accuracy" not in words
    assert f"(scratch/frozen) reach 20.0 % mean IoU (protocol {protocol})" in words
    assert words.count("mean IoU") == words.count(f"mean IoU (protocol {protocol})") > 2


def test_a_frozen_segmentation_is_told_to_train_its_decoder():
    frozen = [row("scratch/full", [0.1, 0.11], metric="miou"), row("ssl/frozen", [0.5, 0.51], metric="miou")]
    sentence = verdict(*frozen, protocol="ignore").sentence
    assert (
        "start from ssl and train the decoder only, the encoder frozen: 50.5 % mean IoU (protocol ignore)" in sentence
    )
    assert "classifier" not in sentence


def test_details_speak_of_own_pretraining_the_floor_the_runner_up_and_all_labels():
    details = "\n".join(verdict(*CLEAR).details)
    assert "ssl/full is below scratch/full: -2.9 points (95 % interval" in details
    assert "(scratch/frozen) reach 20.0 % accuracy" in details
    assert "ssl+supervised/full is below supervised/full: -2.2 points" in details
    assert "next best: supervised/full is above ssl+supervised/full: +2.2 points" in details
    assert "With all labels (1013 images), start from supervised" in details
    assert "not corrected for making several comparisons" in details
    assert "share one pre-training" in details
    assert "share one pre-training" not in "\n".join(verdict(CLEAR[0], CLEAR[1]).details)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.62, 0.63, 0.64], "ssl/full is above scratch/full: +4.1 points"),
        ([0.55, 0.59, 0.65], "ssl/full cannot be told apart from scratch/full: +0.8 points"),
        ([0.51, 0.52, 0.53], "ssl/full is below scratch/full: -6.9 points"),
    ],
)
def test_own_pretraining_is_spoken_of_as_measured(values, words):
    assert any(words in line for line in verdict(CLEAR[0], row("ssl/full", values)).details)


def test_no_clear_winner_names_who_shares_the_lead_and_who_beats_scratch():
    result = verdict(
        row("scratch/full", [0.50, 0.51, 0.52]),
        row("supervised/full", [0.70, 0.72, 0.71]),
        row("ssl+supervised/full", [0.73, 0.71, 0.72]),
        row("ssl/full", [0.40, 0.41, 0.42]),
    )
    assert result.winner is None
    assert "no clear winner at n=3" in result.sentence
    assert "ssl+supervised/full has the highest mean, 72.0 % accuracy, but" in result.sentence
    assert (
        "not clearly above supervised/full (71.0 %): the paired 95 % interval does not lie above zero"
        in result.sentence
    )
    assert "Shown to beat scratch/full: ssl+supervised/full, +21.0 points (95 %" in result.sentence
    assert "supervised/full, +20.0 points (95 %" in result.sentence
    assert "ssl/full" not in result.sentence.replace("ssl+supervised/full", "")  # not one of the leaders


def test_a_start_that_scratch_cannot_be_told_from_is_not_said_to_help():
    result = verdict(row("scratch/full", [0.50, 0.60, 0.55]), row("ssl/full", [0.60, 0.50, 0.58]))
    assert result.winner is None
    assert "None of them is shown to beat scratch/full." in result.sentence


def test_scratch_can_win():
    result = verdict(CLEAR[0], CLEAR[2], CLEAR[5])
    assert result.winner == "scratch/full"
    assert "start from scratch and train everything: 58.9 % accuracy, ahead of all others" in result.sentence
    assert "+2.9 points over ssl/full" in result.sentence
    assert "It needs" not in result.sentence


def test_a_frozen_winner_is_told_what_to_train():
    result = verdict(CLEAR[0], row("supervised/frozen", [0.70, 0.71, 0.72]))
    assert "train the classifier only, the backbone frozen" in result.sentence


@pytest.mark.parametrize(
    ("status", "fraction", "words"),
    [
        ("reached", 0.234, "needs about 23 % of the labels to reach"),
        ("reached", 0.0123, "needs about 1.2 % of the labels to reach"),
        ("at_most", 0.1, "needs 10 % of the labels, or fewer, to reach"),
        ("not_reached", None, "With none of the label fractions tried does it reach"),
    ],
)
def test_the_saving_in_words(status, fraction, words):
    saving = LabelSaving(setting="supervised/full", target=0.75, status=status, label_fraction=fraction)
    assert words in make_verdict(CLEAR, paired_differences(CLEAR), [saving]).sentence


def test_one_seed_cannot_carry_a_verdict():
    result = verdict(row("scratch/full", [0.5]), row("supervised/full", [0.9]), row("ssl/full", [0.4]))
    assert result.winner is None
    assert result.sentence.startswith("One seed cannot carry a verdict")
    assert "--seeds 3" in result.sentence
    assert any("-10.0 points (one common seed, so no interval), which may be chance" in line for line in result.details)


def test_settings_without_common_seeds_are_not_compared():
    result = verdict(row("scratch/full", [0.5, 0.5]), row("ssl/full", [0.9, 0.9], seeds=[7, 8]))
    assert result.winner is None
    assert "shares fewer than two seeds with scratch/full" in result.sentence
    assert any("share no seed" in line for line in result.details)


def test_an_interval_without_width_is_said_to_be_doubtful():
    result = verdict(row("scratch/full", [0.5, 0.25, 0.75]), row("ssl/full", [0.625, 0.375, 0.875]))
    assert result.winner == "ssl/full"
    assert any("the interval has no width" in line for line in result.details)


def test_a_lead_too_small_for_one_decimal_is_not_printed_as_zero():
    result = verdict(row("scratch/full", [0.5, 0.5001, 0.5002]), row("ssl/full", [0.5003, 0.50039, 0.50051]))
    assert result.winner == "ssl/full"
    assert "+0.03 points over scratch/full (95 % interval 0.03 to 0.03" in result.sentence


def test_without_runs_or_rivals_nothing_is_compared():
    assert make_verdict([], [], []).winner is None
    alone = verdict(row("supervised/full", [0.5, 0.6]))
    assert alone.winner is None
    assert "nothing to compare it with" in alone.sentence


def test_two_runs_of_one_kind_are_both_spoken_of():
    details = "\n".join(
        verdict(CLEAR[0], row("ssl (one)/full", [0.7, 0.71]), row("ssl (two)/full", [0.3, 0.31])).details
    )
    assert "ssl (one)/full is above scratch/full" in details
    assert "ssl (two)/full is below scratch/full" in details


def test_given_differences_are_what_the_verdict_rests_on():
    doubtful = PairedDifference(
        setting="supervised/full",
        baseline="scratch/full",
        label_fraction=0.1,
        values=[0.3, 0.0],
        mean=0.15,
        ci95=(-1.0, 1.3),
    )
    assert make_verdict(CLEAR[:2], [doubtful], []).winner is None


SETTINGS = [
    f"{start}/{trained}"
    for start in ("scratch", "supervised", "ssl", "ssl+supervised")
    for trained in ("full", "frozen")
]


@st.composite
def studies(draw) -> list[StudyRow]:
    rows = []
    for setting in draw(st.lists(st.sampled_from([*SETTINGS, "ssl (one)/full"]), max_size=6, unique=True)):
        base = draw(st.sampled_from([0.2, 0.5, 0.8]))
        for fraction in draw(st.lists(st.sampled_from([0.01, 0.1, 1.0]), min_size=1, unique=True)):
            seeds = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4, unique=True).map(sorted))
            noise = st.one_of(st.sampled_from([0.0, 0.005, 0.01]), st.floats(-0.2, 0.2))
            rows.append(row(setting, [base + draw(noise) for _ in seeds], fraction, seeds))
    return rows


@settings(max_examples=400, deadline=None)
@given(studies())
def test_it_never_raises_and_never_claims_a_winner_whose_interval_includes_zero(rows):
    result = verdict(*rows)
    assert result.sentence.endswith(".")
    assert all(line.endswith(".") for line in result.details)
    assert (result.winner is not None) == ("start from" in result.sentence)
    if result.winner is None:
        return
    assert result.label_fraction == min(each.label_fraction for each in rows)
    here = {
        each.setting: dict(zip(each.seeds, each.values, strict=True))
        for each in rows
        if each.label_fraction == result.label_fraction
    }
    winner = here.pop(result.winner)
    assert here
    for other in here.values():
        common = sorted(winner.keys() & other.keys())
        values = np.array([winner[seed] - other[seed] for seed in common])
        assert len(values) > 1
        assert stats.t.ppf(0.975, len(values) - 1) * stats.sem(values) < np.mean(values)


def test_equal_means_are_called_level():
    for seeds in ([0.5], [0.5, 0.6]):
        sentence = verdict(
            row("scratch/full", seeds), row("ssl/full", seeds), row("scratch/frozen", [0.1] * len(seeds))
        )
        assert ", level with " in sentence.sentence
    assert ", level with " not in verdict(row("scratch/full", [0.5]), row("ssl/full", [0.6])).sentence
