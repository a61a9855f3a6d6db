"""A comparison in lines for the terminal."""

import json

from headstart.results import CompareResult, Difference

SHOWN = 10
WIDTH = 32
KINDS = {
    "task": "the task",
    "setting": "a setting",
    "version": "the version of a package",
    "machine": "the machine",
    "data": "the data",
    "run": "what is there",
    "step": "a step",
    "result": "the result",
    "weights": "the weights",
}


def compare_lines(result: CompareResult) -> list[str]:
    """Whether the runs are equal or where they first differ, then a table of the differences, kind by kind."""
    counted = (
        f"{result.n_values} measured value(s), {result.n_results} result(s) and {result.n_weights} file(s) of weights "
        f"of {result.n_runs} run(s)"
    )
    lines = [f"A: {result.run_a}", f"B: {result.run_b}"]
    if result.first is None:
        lines.append(f"A and B are equal: {counted} are the same, and so are settings, versions, machine and data.")
    else:
        lines.append(f"A and B first differ in {KINDS[result.first.kind]}: {place(result.first)}.")
        lines += number_lines(result, counted)
        lines += table(result.differences)
    if result.without_effect:
        lines.append(f"Settings that differ and change no number: {', '.join(map(plain, result.without_effect))}.")
    return lines + result.notes


def number_lines(result: CompareResult, counted: str) -> list[str]:
    """Whether, and from which step on, the numbers differ."""
    step = result.first_step
    if step is not None:
        largest = "" if step.largest is None else f", by up to {step.largest:.3g}"
        return [f"The numbers first differ at step {step.step}: {place(step)}{largest}."]
    if result.same_numbers and result.n_runs:
        return [f"No number differs: {counted} are the same."]
    return []


def table(differences: list[Difference]) -> list[str]:
    """A row for each difference, at most ten of a kind."""
    rows = [("differs in", "what", "A", "B")]
    for kind in dict.fromkeys(each.kind for each in differences):
        of_kind = [each for each in differences if each.kind == kind]
        rows += [row(each) for each in of_kind[:SHOWN]]
        if len(of_kind) > SHOWN:
            rows.append((kind, f"... and {len(of_kind) - SHOWN} more (--json lists all)", "", ""))
    widths = [max(len(each[column]) for each in rows) for column in range(4)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(each, widths, strict=True)).rstrip() for each in rows]


def row(difference: Difference) -> tuple[str, str, str, str]:
    """The cells of a difference."""
    kind = difference.kind if difference.step is None else f"step {difference.step}"
    more = ""
    if difference.kind == "step":
        largest = "" if difference.largest is None else f", by up to {difference.largest:.3g}"
        more = f" ({difference.count} step(s){largest})"
    a, b = (cell(difference, side) for side in ("a", "b"))
    return kind, place(difference) + more, a, b


def cell(difference: Difference, side: str) -> str:
    """The value of one side, cut to what fits."""
    if difference.missing == side:
        return "none"
    if difference.kind == "run":
        return "there"
    value = difference.a if side == "a" else difference.b
    if difference.kind == "weights":
        return f"sha256 {str(value)[:12]}"
    text = json.dumps(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."


def place(difference: Difference) -> str:
    """What differs, and in which run of a study."""
    return plain(f"{difference.run}: {difference.name}" if difference.run else difference.name)


def plain(text: str) -> str:
    """Text from a file, without characters that a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text)
