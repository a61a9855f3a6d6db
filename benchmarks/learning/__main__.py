"""The command line of the bench (``python -m benchmarks.learning``, see ``benchmarks/learning/__init__.py``)."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.learning.arms import ARMS
from benchmarks.learning.conditions import REPOSITORY, read_json
from benchmarks.learning.config import BenchConfig
from benchmarks.learning.datasets import DATASETS, default_cache
from benchmarks.learning.experiment import RESULTS, run_bench
from benchmarks.learning.levers import LEVERS
from benchmarks.learning.markdown import put_between
from benchmarks.learning.series import Series, run_series
from benchmarks.learning.series_tables import series_lines
from benchmarks.learning.tables import results_lines
from benchmarks.learning.why import WHY

from headstart.errors import HeadstartError

SERIES = {series.name: series for series in (WHY, LEVERS)}
COMMANDS = ("run", *SERIES, "table", "data")
SECTIONS = (
    ("learning.md", "results", RESULTS, results_lines),
    ("learning.md", "levers", LEVERS.results, series_lines),
    ("why-it-hurt.md", "results", WHY.results, series_lines),
)
"""Page, section of it, results file, and what makes lines of its entries."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; ``run`` where none is named."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] not in (*COMMANDS, "-h", "--help"):
        words = ["run", *words]
    args = parser().parse_args(words)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for name in ("headstart", "benchmarks"):
        logging.getLogger(name).setLevel(logging.INFO)
    try:
        own = {"run": run, "table": write_tables, "data": show_data}
        return own.get(args.command, run_one_series)(args)
    except (HeadstartError, ValueError) as error:
        print(f"benchmarks.learning: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """The words of all commands."""
    whole = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__)
    commands = whole.add_subparsers(dest="command", required=True)
    bench = commands.add_parser("run", help="pre-train every arm for every length, judge, write learning.json")
    bench.add_argument("--data", nargs="+", choices=DATASETS, default=tuple(DATASETS))
    bench.add_argument("--arms", nargs="+", choices=ARMS, default=tuple(ARMS))
    bench.add_argument("--minutes", nargs="+", type=float, default=(5.0, 20.0, 60.0), help="of each pre-training")
    bench.add_argument("--task", choices=("classify", "segment"), default="classify")
    add_common(bench, fractions=(0.05, 0.1, 0.3, 1.0))
    for series in SERIES.values():
        words = f"the recipe {series.base} with one change at a time, write {series.results}"
        add_series(commands.add_parser(series.name, help=words), series)
    tables = commands.add_parser("table", help="put results into docs/learning.md and docs/why-it-hurt.md")
    tables.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    tables.add_argument("--docs", type=Path, default=REPOSITORY / "docs")
    tables.add_argument("--print", action="store_true", help="print the tables instead")
    data = commands.add_parser("data", help="only build data sets, and say what they hold")
    data.add_argument("names", nargs="+", choices=DATASETS)
    data.add_argument("--cache", type=Path, default=None)
    return whole


def add_series(command: argparse.ArgumentParser, series: Series) -> None:
    """What a series is told."""
    command.add_argument("--data", choices=DATASETS, default="bluemarble")
    length = command.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=20.0, help="wall-clock minutes of each pre-training")
    length.add_argument("--steps", type=at_least_one, default=None, help="of each pre-training, up to a whole epoch")
    chosen = "these changes and what they are compared with, all unless given; the table then has no others"
    command.add_argument("--changes", nargs="+", choices=series.changes, default=None, metavar="NAME", help=chosen)
    add_common(command, fractions=(0.1,))


def at_least_one(word: str) -> int:
    """A number of steps."""
    if int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word} is less than 1")
    return int(word)


def add_common(command: argparse.ArgumentParser, fractions: tuple[float, ...]) -> None:
    """What ``run`` and the series are all told."""
    command.add_argument("--out", type=Path, required=True, help="goes on with what is there already")
    command.add_argument("--cache", type=Path, default=None, help=f"of data sets; {default_cache()} unless given")
    command.add_argument("--backbone", default="tf_efficientnet_lite0")
    command.add_argument("--image-size", type=int, default=None, help="pixels; the data set's own unless given")
    command.add_argument("--threads", type=int, default=None, help="of PyTorch; its own choice unless given")
    command.add_argument("--label-fractions", nargs="+", type=float, default=fractions)
    command.add_argument("--seeds", type=int, default=5)
    command.add_argument("--trained", nargs="+", choices=("full", "frozen"), default=("full", "frozen"))
    for flag, kind in (("--epochs", int), ("--min-steps", int), ("--tune-folds", int)):
        command.add_argument(flag, type=kind, default=None, help="of the study; its own default unless given")
    command.add_argument("--lr-grid", nargs="+", type=float, default=None, help="of the study, as the three above")


def config_of(args: argparse.Namespace) -> BenchConfig:
    """What ``run`` was told; for a series with the one data set and length that it has."""
    one = args.command in SERIES
    steps = args.steps if one else None
    return BenchConfig(
        out=args.out,
        cache=args.cache or default_cache(),
        datasets=(args.data,) if one else tuple(args.data),
        arms=() if one else tuple(args.arms),
        minutes=() if steps else (args.minutes,) if one else tuple(args.minutes),
        steps=steps,
        task="classify" if one else args.task,
        backbone=args.backbone,
        image_size=args.image_size,
        threads=args.threads,
        label_fractions=tuple(args.label_fractions),
        seeds=args.seeds,
        trained=tuple(args.trained),
        lr_grid=None if args.lr_grid is None else tuple(args.lr_grid),
        tune_folds=args.tune_folds,
        epochs=args.epochs,
        min_steps=args.min_steps,
    )


def run(args: argparse.Namespace) -> int:
    """The bench; 1 where a data set came to no result."""
    failed = run_bench(config_of(args))
    print(f"Results: {args.out / RESULTS}")
    for line in failed:
        print(f"No result of {line}", file=sys.stderr)
    return 1 if failed else 0


def run_one_series(args: argparse.Namespace) -> int:
    """One change at a time."""
    config, series = config_of(args), SERIES[args.command]
    run_series(series, config, DATASETS[args.data](config.cache), args.changes)
    print(f"Results: {args.out / series.results}")
    return 0


def write_tables(args: argparse.Namespace) -> int:
    """The tables of all results in the folders, into the pages or onto the screen."""
    written = False
    for page, section, file, lines_of in SECTIONS:
        found = [read_json(folder / file) for folder in args.folders if (folder / file).is_file()]
        entries = [entry for results in found for entry in results["entries"]]
        if not entries:
            continue
        if args.print:
            print("\n".join(lines_of(entries)))
        else:
            put_between(args.docs / page, section, lines_of(entries))
            print(f"Written: {args.docs / page}, {section}")
        written = True
    if not written:
        names = ", ".join(file for _, _, file, _ in SECTIONS)
        raise ValueError(f"there is none of {names} in {', '.join(map(str, args.folders))}")
    return 0


def show_data(args: argparse.Namespace) -> int:
    """Build data sets."""
    for name in args.names:
        data = DATASETS[name](args.cache or default_cache())
        print(f"{name}: {data.data}, pre-training on {data.unlabelled}, {data.image_size} pixels")
        print(json.dumps(data.facts, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
