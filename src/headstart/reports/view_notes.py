"""What the page says of the views of a pre-training."""

from headstart.reports.words import count, number, percent
from headstart.results import CHANGES_IN_WORDS, PretrainResult, Symmetry


def views_note(result: PretrainResult) -> str:
    """How much the views show, and why they are flipped and turned as they are."""
    views = result.views
    return (
        f"{percent(views.near_constant_share)} of {count(views.n_views)} views drawn before training are nearly one "
        f"colour (standard deviation of the grey values below {number(views.threshold)} of 255), and teach nothing."
        f"{_symmetry_note(result.symmetry)}"
    )


def _symmetry_note(found: Symmetry | None) -> str:
    if found is None:
        return ""
    chances = ", ".join(f"{name.replace('_', ' ')} {number(chance)}" for name, chance in found.chances.items())
    if not found.told_apart:
        return f" Flips and turns were not measured, as there are too few images; their probabilities: {chances}."
    shares = ", ".join(
        f"{CHANGES_IN_WORDS.get(name, name)} {percent(share)}" for name, share in found.told_apart.items()
    )
    return (
        f" How often a classifier tells changed images from the others, 50 % being chance: {shares} (of "
        f"{count(found.n_images)} images). Up to {percent(found.alike)} the views are flipped or turned so; their "
        f"probabilities: {chances}."
    )
