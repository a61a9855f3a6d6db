"""How the learning rates of a study came about, in words, and what that means for its numbers."""

from collections.abc import Sequence

from headstart.results import LearningRate, StudyRow, metric_words
from headstart.studies.words import listed, share_words

SHARED_CHOICE = (
    "All seeds of a setting share one choice, so the intervals do not say how much another choice would change the "
    "numbers."
)


def rate_notes(rows: Sequence[StudyRow], protocol: str | None = None) -> list[str]:
    """What a reader of the verdict must know of the learning rates; nothing of studies from before they were chosen."""
    tuned = [(row, row.lr) for row in rows if row.lr is not None]
    if not tuned:
        return []
    grid = tuned[0][1].grid
    if len(grid) == 1:
        at = "the recipe's learning rate" if grid == [1.0] else f"{grid[0]:g} times the recipe's learning rate"
        return [
            f"Every setting was trained at {at}: none was chosen for each (--lr-grid), which favours those it suits."
        ]
    notes = []
    chosen = [(row, rate) for row, rate in tuned if rate.was_chosen]
    if chosen:
        notes.append(how_chosen(grid, [rate for _, rate in chosen], metric_words(chosen[0][0].metric, protocol)))
    edges = [f"{_name(row)} (x {rate.chosen:g})" for row, rate in chosen if rate.at_edge]
    if edges:
        notes.append(
            f"The learning rate chosen is the lowest or the highest on offer for {listed(edges)}: a better one may lie "
            "beyond it (--lr-grid)."
        )
    notes += [
        f"For {_name(row)} no learning rate could be chosen, and x {rate.chosen:g} was taken: "
        f"{rate.note or 'every training for it diverged'}."
        for row, rate in tuned
        if not rate.was_chosen
    ]
    return notes


def how_chosen(grid: Sequence[float], rates: Sequence[LearningRate], metric: str) -> str:
    """The grid, and on what the choice rests."""
    held_out = sorted({rate.n_held_out for rate in rates})
    images = f"{held_out[0]}" if len(held_out) == 1 else f"{held_out[0]} to {held_out[-1]}"
    offered = listed([f"{multiple:g}" for multiple in grid])
    return (
        f"The learning rate of each setting and share of the labels was chosen from {offered} times the recipe's, by "
        f"the {metric} on {images} labelled training images held out of the training; no validation image was looked "
        f"at for it. {SHARED_CHOICE}"
    )


def _name(row: StudyRow) -> str:
    return f"{row.setting} with {share_words(row)}"
