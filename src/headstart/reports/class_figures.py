"""Figures whose parts are classes: the t-SNE pictures and the confusion matrix."""

from dataclasses import dataclass

from headstart.reports.figures import (
    CARD,
    COLOURS,
    INK,
    MOST_POINTS,
    RULE,
    SOFT,
    SYMBOLS,
    Figure,
    Spec,
    axis,
    clipped,
    layout,
    plain,
)
from headstart.reports.study_runs import Confusion
from headstart.reports.words import percent, short_count
from headstart.results import Layout, TsneResult

SYMBOL_PATHS = {
    "circle": "M5,0A5,5 0 1,1 -5,0A5,5 0 1,1 5,0Z",
    "square": "M-4.5,-4.5H4.5V4.5H-4.5Z",
    "diamond": "M0,-6L6,0L0,6L-6,0Z",
    "triangle-up": "M0,-5.5L5.8,4.5H-5.8Z",
    "cross": "M-2,-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
    "triangle-down": "M0,5.5L5.8,-4.5H-5.8Z",
    "x": "M0,-2.2L3.4,-5.6L5.6,-3.4L2.2,0L5.6,3.4L3.4,5.6L0,2.2L-3.4,5.6L-5.6,3.4L-2.2,0L-5.6,-3.4L-3.4,-5.6Z",
    "star": "M0,-6L1.6,-2L5.8,-1.9L2.5,0.8L3.6,5L0,2.6L-3.6,5L-2.5,0.8L-5.8,-1.9L-1.6,-2Z",
}
"""The same symbols as SVG paths within 12 x 12 pixels, for the legend."""
HEAT = "var(--heat)"
MOST_NUMBERED = 10
MOST_TICKS = 40


@dataclass(frozen=True)
class ClassMark:
    """How a class is drawn in the t-SNE pictures; ``trace`` is its place in each of them."""

    name: str
    colour: str
    symbol: str
    trace: int
    n: int

    @property
    def path(self) -> str:
        """The symbol as an SVG path."""
        return SYMBOL_PATHS[self.symbol]


def class_marks(result: TsneResult, shown: list[int]) -> dict[int, ClassMark]:
    """Colour and symbol of each class that occurs, by label. Both change, so that colour alone need not tell."""
    marks = {}
    for trace, label in enumerate(sorted(set(result.labels))):
        name = result.classes[label] if 0 <= label < len(result.classes) else f"class {label}"
        colour, symbol = COLOURS[label % len(COLOURS)], SYMBOLS[(label + label // len(SYMBOLS)) % len(SYMBOLS)]
        marks[label] = ClassMark(name, colour, symbol, trace, sum(result.labels[i] == label for i in shown))
    return marks


def shown_points(result: TsneResult) -> list[int]:
    """Indices of the points that are drawn: all, or MOST_POINTS evenly spaced ones."""
    n = len(result.labels)
    return list(range(n)) if n <= MOST_POINTS else [i * n // MOST_POINTS for i in range(MOST_POINTS)]


def tsne_figure(
    group: str, result: TsneResult, picture: Layout, marks: dict[int, ClassMark], shown: list[int]
) -> Figure:
    """One t-SNE picture: a trace for each class, the same order in all pictures of a run."""
    size = 8 if len(shown) <= 400 else 6 if len(shown) <= 1200 else 5
    data: list[Spec] = []
    for label, mark in marks.items():
        own = [picture.points[i] for i in shown if result.labels[i] == label]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": clipped(mark.name, 40),
                "x": [round(x, 2) for x, _ in own],
                "y": [round(y, 2) for _, y in own],
                "marker": {"color": mark.colour, "symbol": mark.symbol, "size": size, "line": {"width": 0}},
                "hoverinfo": "name",
                "hoverlabel": {"namelength": -1},
            }
        )
    bare: Spec = {
        "showgrid": False,
        "showticklabels": False,
        "showline": True,
        "mirror": True,
        "ticks": "",
        "fixedrange": False,
        "automargin": False,
    }
    drawn = layout(
        None,
        axis(**bare, linecolor=RULE),
        axis(**bare, scaleanchor="x"),
        dragmode="pan",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": SOFT, "activecolor": INK},
        margin={"l": 2, "r": 2, "t": 2, "b": 2},
    )
    title = f"After epoch {picture.epoch}"
    summary = f"t-SNE of {result.setting}, {title.lower()}: {len(shown)} points in {len(marks)} classes"
    return Figure(f"{group}-{picture.epoch}", title, summary, data, drawn, mode_bar=True, square=True, group=group)


def confusion_figure(confusion: Confusion) -> Figure:
    """Share of each true class that was given each class. In up to ten classes the counts of images are written, too,
    or the shares in per cent where it is pixels that were counted, which come in millions.
    """
    size = len(confusion.classes)
    gap = 1 if size <= MOST_TICKS else 0
    totals = [sum(row) for row in confusion.counts]
    shares = [[n / total if total else None for n in row] for row, total in zip(confusion.counts, totals, strict=True)]
    hover = [
        [
            f"truth: {plain(confusion.classes[i])}<br>given: {plain(confusion.classes[j])}<br>"
            f"{short_count(n)} of {short_count(totals[i])} {confusion.counted} ({percent(shares[i][j])})"
            for j, n in enumerate(row)
        ]
        for i, row in enumerate(confusion.counts)
    ]
    heat: Spec = {
        "type": "heatmap",
        "z": [[None if share is None else round(share, 4) for share in row] for row in shares],
        "zmin": 0,
        "zmax": 1 if size <= MOST_NUMBERED else largest_share(confusion) or 1,
        "colorscale": [[0, CARD], [1, HEAT if size <= MOST_NUMBERED else COLOURS[0]]],
        "showscale": False,
        "xgap": gap,
        "ygap": gap,
        "hovertext": hover,
        "hoverinfo": "text",
    }
    if size <= MOST_NUMBERED:
        heat |= {
            "text": _written(confusion, shares),
            "texttemplate": "%{text}",
            "textfont": {"color": INK} | ({} if confusion.counted == "images" else {"size": 11}),
        }
    longest = 16 if size <= MOST_NUMBERED else 10
    names: Spec = {"tickvals": list(range(size)), "ticktext": [clipped(name, longest) for name in confusion.classes]}
    ticks: Spec = {**names, "tickfont": {"size": 11 if size <= MOST_NUMBERED else 9}, "showgrid": False}
    if size > MOST_TICKS:
        ticks = {"showticklabels": False, "showgrid": False, "ticks": ""}
    drawn = layout(None, axis("class given", tickangle=-45, **ticks), axis("true class", autorange="reversed", **ticks))
    summary = (
        f"Confusion matrix of {confusion.setting} over {size} classes; the most frequent mistakes are listed beside it"
    )
    return Figure("confusion", "Confusion matrix", summary, [heat], drawn, square=True)


def _written(confusion: Confusion, shares: list[list[float | None]]) -> list[list[str]]:
    if confusion.counted == "images":
        return [[str(n) for n in row] for row in confusion.counts]
    return [["" if share is None else _rounded(share) for share in row] for row in shares]


def _rounded(share: float) -> str:
    """A share in whole per cents, those of 0 and 100 for nothing and all only."""
    percents = f"{share * 100:.0f}"
    if percents == "0" and share > 0:
        return "&lt;1"
    return "&gt;99" if percents == "100" and share < 1 else percents


def largest_share(confusion: Confusion) -> float:
    """The largest share of a true class that was given one class."""
    return max((max(row) / sum(row) for row in confusion.counts if sum(row)), default=0.0)


def worst_confusions(confusion: Confusion, most: int = 5) -> list[tuple[str, str, int, int]]:
    """The most frequent mistakes: true class, class given, how often, of how many. Where the truth is a class that is
    not scored, nothing is a mistake.
    """
    mistakes = [
        (confusion.classes[i], confusion.classes[j], n, sum(row))
        for i, row in enumerate(confusion.counts)
        for j, n in enumerate(row)
        if i != j and n > 0 and confusion.classes[i] != confusion.ignored
    ]
    return sorted(mistakes, key=lambda mistake: (-mistake[2], mistake[0], mistake[1]))[:most]
