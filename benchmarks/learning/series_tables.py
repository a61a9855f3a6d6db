"""The results of a series as Markdown."""

from collections.abc import Sequence
from typing import Any

from benchmarks.learning.markdown import NONE, number, of_labels, percent, points, table
from benchmarks.learning.series import UNTOUCHED

HEADS = (
    "change",
    "steps x batch",
    "loss, first to last",
    "kNN before, best, after",
    "feature std, effective rank at the end",
)


def series_lines(entries: Sequence[dict[str, Any]]) -> list[str]:
    """All data sets of a series."""
    return [line for entry in entries for line in (*entry_lines(entry), "")][:-1]


def entry_lines(told: dict[str, Any]) -> list[str]:
    """The variants: how their pre-training went, what it was worth, and what exactly was set."""
    config, made, facts = told["config"], told["conditions"], told["facts"]
    words = (
        f"{told['dataset']}: {sum(facts['train'].values())} training and {told['n_val']} validation images at "
        f"{config['image_size']} pixels, `{config['backbone']}`, {length_words(config)}, "
        f"{config['seeds']} seeds of each classifier. Begun {made['date']} at commit {made['commit'] or NONE}: "
        f"{made['machine']['processor']}, {made['threads']} threads, load {made['load_average'][0]:g} at the start."
    )
    there = [variant for variant in told["variants"] if not variant["skipped"]]
    lines = [words, "", *table(HEADS, [pretraining_row(variant) for variant in there])]
    for fraction in sorted({row["label_fraction"] for row in told["rows"]}):
        share = of_labels(fraction)
        words = (
            f"Accuracy with {share} of the labels in per cent; differences in points, with 95 % intervals: to the "
            "weights that the pre-training began from as they are, and to the variant that it changes, "
            f"`{told['base']}` unless another is named below."
        )
        lines += ["", words, "", *worth_table(told, fraction)]
    lines += ["", f"What exactly was set, from the value of `{told['base']}` to the variant's:", ""]
    lines += [f"- {name_words(told, each)}: {settings_words(each['changed'])}" for each in there if each["changed"]]
    lines += [f"- Left out: `{each['name']}`, {each['skipped']}" for each in told["variants"] if each["skipped"]]
    return lines


def length_words(config: dict[str, Any]) -> str:
    """The length that all pre-trainings have in common."""
    if config["steps"] is None:
        (minutes,) = config["minutes"]
        return f"{minutes:g} minutes for each pre-training"
    return f"{config['steps']} steps for each pre-training, rounded up to whole epochs, however long they took"


def name_words(told: dict[str, Any], variant: dict[str, Any]) -> str:
    """A variant's name, with that of the variant it changes where this is not the recipe itself."""
    return f"`{variant['name']}`" + ("" if variant["of"] in (None, told["base"]) else f" (from `{variant['of']}`)")


def pretraining_row(variant: dict[str, Any]) -> list[str]:
    """How a pre-training went."""
    facts, looks = variant["facts"], variant["looks"]
    knn = [look["knn"] for look in looks if look.get("knn") is not None]
    ended = "" if facts["status"] == "finished" else f" ({facts['status']})"
    return [
        f"`{variant['name']}`: {variant['words']}{ended}",
        f"{facts['steps']} x {facts['batch_size']}",
        f"{number(facts['loss_first'])} to {number(facts['loss_last'])}",
        ", ".join(percent(value) for value in (facts["knn_before"], max(knn, default=None), facts["knn"])),
        f"{number(facts['feature_std'])}, {number(facts['effective_rank'])}",
    ]


def worth_table(told: dict[str, Any], fraction: float) -> list[str]:
    """Fine-tuning and linear probe of each start, against the weights it began from and the variant it changes."""
    ways = [way for way in ("full", "frozen") if any(row["trained"] == way for row in told["rows"])]
    rows = [row for row in told["rows"] if row["label_fraction"] == fraction]
    pairs = {
        (pair["trial"], pair["trained"], pair["against"]): pair
        for pair in told["differences"]
        if pair["label_fraction"] == fraction
    }
    means = {(row["trial"], row["trained"]): row["mean"] for row in rows}
    references = dict.fromkeys(UNTOUCHED.values(), (None, told["base"]))
    references |= {variant["name"]: (variant["began_from"], variant["of"]) for variant in told["variants"]}
    order = list(references)
    of_a_way = ("", ", against its start", ", against what it changes")
    heads = ["start", *(f"{way}{words}" for way in ways for words in of_a_way)]
    cells = []
    for trial in sorted({row["trial"] for row in rows}, key=order.index):
        figures = []
        for way in ways:
            figures.append(percent(means.get((trial, way))))
            figures += [points(pairs.get((trial, way, reference))) for reference in references[trial]]
        cells.append([f"`{trial}`", *figures])
    return table(heads, cells)


def settings_words(changed: dict[str, list[Any]]) -> str:
    """--optim.lr 0.01 to 0.0005; ..."""
    return "; ".join(f"`--{key.replace('_', '-')}` {plain(old)} to {plain(new)}" for key, (old, new) in changed.items())


def plain(value: Any) -> str:
    """A setting as a user would write it."""
    if isinstance(value, list):
        return " ".join(plain(each) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
