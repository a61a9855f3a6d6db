"""What the page says of the early word: its sentence, and the looks it rests on side by side."""

from collections.abc import Callable
from typing import Any

from headstart.reports.words import number, percent, typeset
from headstart.results import EarlyWord

FIGURES: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("knn", "kNN accuracy", percent),
    ("retrieval", "Retrieval", percent),
    ("alignment", "Alignment", number),
    ("uniformity", "Uniformity", number),
    ("effective_rank", "Effective rank", number),
    ("feature_std", "Spread of the features", number),
    ("projection_std", "Spread of the projections", number),
)
"""Figures of a look: field, name, and how it is written."""
FLOORS = {"pixels": "raw pixels", "untrained": "the untrained network"}
CLASSES = {"go on": "finished", "no gain so far": "unknown", "stop": "stopped"}
"""Of the page's styles of a status."""


def early_word_view(word: EarlyWord) -> dict[str, Any]:
    """The word with a table: before training, at the word, and at the last look where there was a later one."""
    looks = {"Before": word.before, f"Step {word.step}": word.now}
    if word.end is not None:
        looks[f"Step {word.end_step}"] = word.end
    figures = [figure for figure in FIGURES if any(getattr(look, figure[0]) is not None for look in looks.values())]
    floors = [f"{FLOORS.get(name, name)} {percent(value)}" for name, value in word.floors.items()]
    return {
        "verdict": word.verdict,
        "style": CLASSES[word.verdict],
        "sentence": typeset(word.sentence),
        "end": typeset(word.end_sentence) if word.end_sentence else "",
        "without_labels": word.verdict_without_labels if word.measure == "knn" else "",
        "floors": f"kNN accuracy without any training: {', '.join(floors)}." if floors else "",
        "columns": list(looks),
        "rows": [(name, [text(getattr(look, field)) for look in looks.values()]) for field, name, text in figures],
    }
