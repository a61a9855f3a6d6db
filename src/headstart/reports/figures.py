"""Facts as plotly figures: plain dicts. Colours are names of CSS variables, which the page resolves for light and dark.

Text from outside (class names, paths) goes through ``plain``, because plotly reads a little HTML in its labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headstart.reports.words import (
    capital,
    part_frozen,
    part_trained,
    percent,
    plural,
    share_of_labels,
    short_start,
)
from headstart.results import StudyResult, StudyRow, metric_words

COLOURS = tuple(f"var(--c{i})" for i in range(1, 9))
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "x", "star")
INK, SOFT, RULE, CARD = "var(--ink)", "var(--soft)", "var(--rule)", "var(--card)"
BASELINE = "scratch/full"
MOST_POINTS = 3000
Spec = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A plot with a unique ``key``; ``summary`` is what it shows, for those who cannot see it."""

    key: str
    title: str
    summary: str
    data: list[Spec]
    layout: Spec
    mode_bar: bool = False
    square: bool = False
    group: str = ""


def plain(text: object) -> str:
    """Text that plotly shows as it is written."""
    printable = "".join(sign if sign.isprintable() else " " for sign in str(text))
    return printable.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def clipped(text: str, longest: int = 18) -> str:
    """Text cut at the end to ``longest`` characters, and made plain."""
    return plain(text if len(text) <= longest else text[: longest - 1] + "\u2026")


def axis(title: str = "", **settings: Any) -> Spec:
    """An axis in the page's style."""
    style = {
        "gridcolor": RULE,
        "linecolor": RULE,
        "zerolinecolor": RULE,
        "zeroline": False,
        "automargin": True,
        "exponentformat": "power",
    }
    return {**style, "fixedrange": True, "title": {"text": title, "standoff": 8}, "tickfont": {"size": 12}} | settings


def layout(height: int | None, x: Spec, y: Spec, **settings: Any) -> Spec:
    """A layout in the page's style; ``height`` in CSS pixels, None to fill the box."""
    base: Spec = {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": INK},
        "margin": {"l": 8, "r": 12, "t": 10, "b": 8},
        "showlegend": False,
        "dragmode": False,
        "hoverlabel": {"bgcolor": CARD, "bordercolor": RULE, "font": {"color": INK, "size": 12}, "align": "left"},
        "xaxis": x,
        "yaxis": y,
        **settings,
    }
    return base if height is None else base | {"height": height}


def start_of(row: StudyRow) -> str:
    """The start's short name, unique within the study: its setting without what is trained."""
    return row.setting.rpartition("/")[0] or row.start


def start_colours(starts: Sequence[str]) -> dict[str, str]:
    """A colour for each start, the same in all figures: scratch grey, the others in the order they come."""
    others = [start for start in dict.fromkeys(starts) if start != "scratch"]
    return {"scratch": SOFT} | {start: COLOURS[i % len(COLOURS)] for i, start in enumerate(others)}


def row_label(row: StudyRow) -> str:
    """The letter, where the setting has one, and the setting: B supervised/full."""
    name = f"{short_start(start_of(row))}/{row.trained}"
    return f"{row.letter}  {name}" if row.letter else name


def score_range(study: StudyResult) -> tuple[float, float]:
    """Range of an axis in per cent that holds all values and intervals."""
    lows = [min(row.values + ([row.ci95[0]] if row.ci95 else [])) for row in study.rows]
    highs = [max(row.values + ([row.ci95[1]] if row.ci95 else [])) for row in study.rows]
    low, high = min(lows) * 100, max(highs) * 100
    margin = max((high - low) * 0.06, 0.5)
    return low - margin, high + margin


def row_hover(row: StudyRow) -> str:
    """What the pointer shows on a setting's mean."""
    interval = (
        f"95 % interval {percent(row.ci95[0])} to {percent(row.ci95[1])}" if row.ci95 else "one seed: no interval"
    )
    seeds = plural(len(row.seeds), "seed")
    head = f"<b>{plain(row.setting)}</b>, {share_of_labels(row.label_fraction)} of the labels"
    return f"{head}<br>mean {percent(row.mean)} over {seeds}<br>{interval}"


def study_dots(study: StudyResult, fraction: float) -> Figure:
    """Mean, interval and single seeds of every setting at one label fraction."""
    rows = [row for row in study.rows if row.label_fraction == fraction]
    colours = start_colours([start_of(row) for row in study.rows])
    places = list(range(len(rows)))
    seeds = {
        "type": "scatter",
        "mode": "markers",
        "x": [round(value * 100, 3) for row in rows for value in row.values],
        "y": [place for place, row in zip(places, rows, strict=True) for _ in row.values],
        "marker": {
            "symbol": "line-ns-open",
            "size": 9,
            "color": [colours[start_of(r)] for r in rows for _ in r.values],
        },
        "opacity": 0.65,
        "hovertext": [f"seed {seed}: {percent(v)}" for r in rows for seed, v in zip(r.seeds, r.values, strict=True)],
        "hoverinfo": "text",
    }
    means = [_mean_trace(row, colours[start_of(row)], [row.mean * 100], [place], "x") for place, row in enumerate(rows)]
    base = next((row.mean for row in rows if row.setting == BASELINE), None)
    low, high = score_range(study)
    title = f"{share_of_labels(fraction)} of the labels"
    summary = f"{study.metric_words}; " + "; ".join(f"{row.setting} {percent(row.mean)}" for row in rows)
    ticks: Spec = {"tickvals": places, "ticktext": [plain(row_label(row)) for row in rows]}
    drawn = layout(
        76 + 34 * len(rows),
        axis(f"{metric_words(study.metric)}, %", range=[low, high]),
        axis(range=[len(rows) - 0.5, -0.5], showgrid=False, **ticks),
        shapes=[] if base is None else [dotted_line("x", base * 100)],
    )
    return Figure(f"study-{fraction}", title, f"{title}: {summary}", [seeds, *means], drawn)


def _mean_trace(row: StudyRow, colour: str, x: list[float], y: list[float], along: str) -> Spec:
    """A mean with its interval as an error bar: filled where everything was trained, hollow where frozen."""
    half = (row.ci95[1] - row.ci95[0]) * 50 if row.ci95 else 0.0
    hollow = row.trained == "frozen"
    return {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": y,
        f"error_{along}": {"type": "data", "array": [half], "color": colour, "thickness": 2, "width": 4},
        "marker": {"size": 10, "color": CARD if hollow else colour, "line": {"color": colour, "width": 2}},
        "hovertext": [row_hover(row)],
        "hoverinfo": "text",
    }


def dotted_line(along: str, value: float) -> Spec:
    """A dotted line across the plot at one value of ``along`` (x: upright, y: level)."""
    other = "y" if along == "x" else "x"
    place = {f"{along}0": value, f"{along}1": value, f"{other}0": 0, f"{other}1": 1, f"{other}ref": "paper"}
    return {"type": "line", "layer": "below", "line": {"color": SOFT, "width": 1.5, "dash": "dot"}, **place}


def efficiency(study: StudyResult, trained: str) -> Figure | None:
    """What is compared against the share of labels, one line for each start. None with fewer than two shares."""
    fractions = sorted({row.label_fraction for row in study.rows})
    rows = [row for row in study.rows if row.trained == trained]
    if len(fractions) < 2 or not rows:
        return None
    colours = start_colours([start_of(row) for row in study.rows])
    starts = list(dict.fromkeys(start_of(row) for row in rows))
    spread = (fractions[-1] / fractions[0]) ** 0.018
    data: list[Spec] = []
    for i, start in enumerate(starts):
        own = sorted((row for row in rows if start_of(row) == start), key=lambda row: row.label_fraction)
        shift = spread ** (i - (len(starts) - 1) / 2)
        xs, ys = [row.label_fraction * 100 * shift for row in own], [row.mean * 100 for row in own]
        line = {"color": colours[start], "width": 2, "dash": "dash" if trained == "frozen" else "solid"}
        data.append({"type": "scatter", "mode": "lines", "x": xs, "y": ys, "line": line, "hoverinfo": "skip"})
        data += [_mean_trace(row, colours[start], [x], [y], "y") for row, x, y in zip(own, xs, ys, strict=True)]
    target = next(
        (r.mean for r in study.rows if (r.start, r.trained, r.label_fraction) == ("scratch", "full", 1.0)), None
    )
    low, high = score_range(study)
    ticks: Spec = {"tickvals": [f * 100 for f in fractions], "ticktext": [share_of_labels(f) for f in fractions]}
    drawn = layout(
        340,
        axis("share of the labels (logarithmic)", type="log", **ticks),
        axis(f"{metric_words(study.metric)}, %", range=[low, high]),
        shapes=[] if target is None else [dotted_line("y", target * 100)],
    )
    frozen = f"{capital(part_frozen(study.task))} frozen, {part_trained(study.task)} trained"
    title = "Everything trained" if trained == "full" else frozen
    summary = f"{study.metric_words} against the share of labels for {', '.join(starts)}"
    return Figure(f"efficiency-{trained}", title, f"{title}: {summary}", data, drawn)
