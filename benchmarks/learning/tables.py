"""learning.json as Markdown: for each data set what the pre-trainings were, kNN, and fine-tuning with intervals."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.learning.arms import ARMS
from benchmarks.learning.judging import early_words
from benchmarks.learning.markdown import NONE, number, of_labels, percent, points, table
from benchmarks.learning.trials import trial_name

Entry = dict[str, Any]
Word = tuple[str, str, str | None]
"""An early word, a way of training, and what the study found by it."""
WAYS = {"full": "Everything trained", "frozen": "Backbone frozen (linear probe)"}
FINDINGS = ("gain", "no difference", "loss")
RIGHT_AFTER = {"go on": ("gain",), "stop": ("no difference", "loss")}
"""What an early word promises; the third, no gain so far, promises nothing."""
SEGMENT_WAYS = {"full": "Everything trained", "frozen": "Encoder frozen"}


def results_lines(entries: Sequence[Entry]) -> list[str]:
    """All entries, then how often the early word was right, then what the arms are."""
    lines: list[str] = []
    for entry in entries:
        lines += entry_lines(entry)
    lines += early_word_lines(entries)
    used = {trial["arm"] for entry in entries for trial in entry["trials"]}
    lines += ["### The arms", "", *(f"- `{name}`: {arm.words}." for name, arm in ARMS.items() if name in used)]
    return lines


def entry_lines(entry: Entry) -> list[str]:
    """One data set."""
    lines = [f"### {entry['dataset']}" + ("" if entry["task"] == "classify" else f", {entry['task']}"), ""]
    lines += [conditions_words(entry), "", *pretraining_table(entry)]
    ways = WAYS if entry["task"] == "classify" else SEGMENT_WAYS
    for way, words in ways.items():
        if any(row["trained"] == way for row in entry["rows"]):
            lines += ["", f"{words}: {entry['metric']} in per cent, and the difference to scratch in points.", ""]
            lines += [*score_table(entry, way), *rates_lines(entry, way)]
    lines += continued_lines(entry)
    lines += [f"- Left out: `{name_of(trial)}`, {trial['skipped']}." for trial in entry["trials"] if trial["skipped"]]
    lines += [f"- Left out by the study: {reason}" for reason in entry["left_out"]]
    lines += [f"- {warning}" for warning in entry["warnings"]]
    return [*lines, ""]


def name_of(trial: dict[str, Any]) -> str:
    """A trial's name within its data set."""
    return trial_name(trial["arm"], trial["minutes"])


def conditions_words(entry: Entry) -> str:
    """What the numbers of an entry are about, and under which conditions they were made."""
    facts, config, made, knn = entry["facts"], entry["config"], entry["conditions"], entry["knn"]
    unlabelled = f", {facts['unlabelled']} unlabelled images" if facts["unlabelled"] else ""
    machine, versions = made["machine"], made["versions"]
    return (
        f"{facts['source']}, {facts['version']} ({facts['licence']}). {knn['n_train']} training and {knn['n_val']} "
        f"validation images of {len(facts['train'])} classes{unlabelled}, shown at {config['image_size']} pixels; "
        f"{facts['split']}. Backbone `{config['backbone']}`, {config['seeds']} seeds; intervals are 95 %, over these, "
        f"which share one pre-training. Begun {made['date']} at commit {made['commit'] or NONE}: "
        f"{machine['processor']}, {made['threads']} threads, load {made['load_average'][0]:g} at the start, "
        f"torch {versions['torch']}. "
        f"The study took {entry['study']['wall_seconds'] / 3600:.1f} hours. "
        f"kNN on the pixels themselves: {percent(knn['pixels'])} %."
    )


def pretraining_table(entry: Entry) -> list[str]:
    """A row a trial: its length as planned and as it was, what it saw, and kNN before and after."""
    heads = ("arm", "minutes", "wall minutes", "steps x batch", "images/s", "kNN, all images", "watched: before, after")
    rows = []
    for trial in entry["trials"]:
        if trial["skipped"]:
            continue
        facts, values = trial["facts"], entry["knn"]["values"].get(name_of(trial), [])
        seen = f"{facts['steps']} x {facts['batch_size']}" if facts else NONE
        ended = "" if facts.get("status", "finished") == "finished" else f" ({facts['status']})"
        rows.append(
            (
                f"`{trial['arm']}`{ended}",
                number(trial["minutes"]),
                f"{facts['wall_seconds'] / 60:.1f}" if facts else NONE,
                seen,
                number(facts.get("images_per_second")),
                percent(sum(values) / len(values)) if values else NONE,
                f"{percent(facts.get('knn_before'))}, {percent(facts.get('knn'))}" if facts else NONE,
            )
        )
    return table(heads, rows)


def score_table(entry: Entry, way: str) -> list[str]:
    """A row a trial, for each share of the labels the mean and the difference to scratch, trained in the same way."""
    found = {(row["trial"], row["label_fraction"]): row for row in entry["rows"] if row["trained"] == way}
    fractions = sorted({fraction for _, fraction in found})
    counts = {row["label_fraction"]: row["n_labels"] for row in found.values()}
    rows = []
    for trial in dict.fromkeys(name for name, _ in found):
        cells = []
        for fraction in fractions:
            row, pair = found.get((trial, fraction)), pair_of(entry, trial, "scratch", way, fraction)
            cells.append(percent(row["mean"] if row else None) + (f"; {points(pair)}" if pair else ""))
        rows.append([f"`{trial}`", *cells])
    order = {name_of(trial): i for i, trial in enumerate(entry["trials"])}
    rows.sort(key=lambda row: order.get(row[0].strip("`"), -1))
    return table(["start", *(f"{of_labels(fraction)} ({counts[fraction]} labels)" for fraction in fractions)], rows)


def rates_lines(entry: Entry, way: str) -> list[str]:
    """Which multiple of the recipe's learning rate each start was given at each share of the labels, and its cost."""
    chosen = [(row, row["lr"]) for row in entry["rows"] if row["trained"] == way and row.get("lr")]
    tuned = [(row, lr) for row, lr in chosen if lr["trainings"]]
    if not tuned:
        return []
    starts = dict.fromkeys(row["trial"] for row, _ in tuned)
    multiples = {
        start: ", ".join(f"{lr['chosen']:g}" for row, lr in sorted(tuned, key=by_fraction) if row["trial"] == start)
        for start in starts
    }
    return [
        "",
        "Multiples of the recipe's learning rate that were chosen, by rising share of the labels: "
        + "; ".join(f"`{start}` {words}" for start, words in multiples.items())
        + f". Choosing took {sum(lr['trainings'] for _, lr in tuned)} trainings, "
        f"{sum(lr['seconds'] for _, lr in tuned) / 3600:.1f} hours.",
    ]


def by_fraction(tuned: tuple[dict[str, Any], dict[str, Any]]) -> float:
    """Sorts rows by their share of the labels."""
    fraction: float = tuned[0]["label_fraction"]
    return fraction


def pair_of(entry: Entry, trial: str, baseline: str, way: str, fraction: float) -> dict[str, Any] | None:
    """The paired difference of a trial to a baseline."""
    key = (trial, baseline, way, fraction)
    return next(
        (
            pair
            for pair in entry["differences"]
            if (pair["trial"], pair["against"], pair["trained"], pair["label_fraction"]) == key
        ),
        None,
    )


def continued_lines(entry: Entry) -> list[str]:
    """Continuing from supervised weights against these weights as they are."""
    pairs = [pair for pair in entry["differences"] if pair["against"] == "supervised"]
    if not pairs:
        return []
    fractions = sorted({pair["label_fraction"] for pair in pairs})
    rows = [
        [f"`{trial}/{way}`", *(points(pair_of(entry, trial, "supervised", way, fraction)) for fraction in fractions)]
        for trial, way in dict.fromkeys((pair["trial"], pair["trained"]) for pair in pairs)
    ]
    heads = ["against `supervised`", *map(of_labels, fractions)]
    words = "Continued from supervised weights, against these weights as they are, in points."
    return ["", words, "", *table(heads, rows)]


def early_word_lines(entries: Sequence[Entry]) -> list[str]:
    """How often each early word was followed by which finding of the study; nothing where there were no words."""
    words = [word for entry in entries for word in early_words(entry)]
    if not words:
        return []
    counted: Counter[Word] = Counter((each["verdict"], way, each["found"][way]) for each in words for way in WAYS)
    kept = ", ".join(right_words(counted, way) for way in WAYS)
    verdicts = list(dict.fromkeys(("go on", "no gain so far", "stop", *(word["verdict"] for word in words))))
    rows = [[said, *(str(counted[said, way, found]) for way in WAYS for found in FINDINGS)] for said in verdicts]
    return [
        "### How often the early word was right",
        "",
        "Pre-trainings by what was said after a tenth of them, and by what the study found at 10 % of the labels (or "
        "the share nearest to it), everything trained (full) and backbone frozen, against scratch, or against "
        "supervised where it went on from these weights: a gain or a loss is an interval without zero.",
        "",
        *table(["early word", *(f"{way}: {found}" for way in WAYS for found in FINDINGS)], rows),
        "",
        f"Right, which is a gain after *go on* and none after *stop*: {kept}.",
        "",
    ]


def right_words(counted: Mapping[Word, int], way: str) -> str:
    """``full`` 2 of 3: how many of the words that promise something kept it by this way of training."""
    kept = sum(counted[said, way, found] for said, findings in RIGHT_AFTER.items() for found in findings)
    said = sum(counted[each, way, found] for each in RIGHT_AFTER for found in FINDINGS)
    return f"`{way}` {kept} of {said}"
