"""The command line: parse, call, print. Nothing heavy is imported before a verb is known to be well asked for."""

import json
import logging
import os
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from headstart.configs.base import Config
from headstart.configs.flags import fields_of, is_bool, parse, type_words
from headstart.errors import ConfigError, HeadstartError


@dataclass(frozen=True)
class Verb:
    """Where a verb's config and function live (``module:name``), which fields need no flag, and its recipes."""

    config: str
    function: str
    summary: str
    positional: tuple[str, ...] = ()
    recipes: str | None = None


VERBS = {
    "demo": Verb("headstart.configs.study:DemoConfig", "headstart.verbs:demo", "the whole study on embedded data"),
    "pretrain": Verb(
        "headstart.configs.pretrain:PretrainConfig",
        "headstart.tasks.pretrain:pretrain",
        "BYOL pre-training on unlabelled images",
        recipes="headstart.configs.recipes:PRETRAIN",
    ),
    "classify": Verb(
        "headstart.configs.classify:ClassifyConfig",
        "headstart.tasks.classify:classify",
        "train a classifier from one start, fully or on a frozen backbone",
        recipes="headstart.configs.recipes:CLASSIFY",
    ),
    "segment": Verb(
        "headstart.configs.segment:SegmentConfig",
        "headstart.tasks.segment:segment",
        "train a segmentation model on pairs of images and masks",
        recipes="headstart.configs.recipes:SEGMENT",
    ),
    "predict": Verb(
        "headstart.configs.inference:PredictConfig",
        "headstart.inference.predict:predict",
        "masks or classes of images and GeoTIFFs of any size, by a finished run's model",
        positional=("run", "inputs"),
    ),
    "evaluate": Verb(
        "headstart.configs.inference:EvaluateConfig",
        "headstart.verbs:evaluate",
        "score a finished run's model on other images",
        positional=("run",),
    ),
    "data check": Verb(
        "headstart.configs.data:DataCheckConfig",
        "headstart.verbs:data_check",
        "what a source holds, and what is wrong with it, before anyone trains",
        positional=("data",),
    ),
    "miou": Verb(
        "headstart.configs.inference:MiouConfig",
        "headstart.analysis.miou:miou",
        "score a folder of predicted masks against the true ones",
        positional=("predicted", "truth"),
    ),
    "study": Verb(
        "headstart.configs.study:StudyConfig",
        "headstart.verbs:study",
        "compare starts over label fractions and seeds, with a verdict and a report",
    ),
    "tsne": Verb(
        "headstart.configs.tsne:TsneConfig",
        "headstart.verbs:tsne",
        "lay out the features of a run's first and last epoch",
        positional=("run",),
    ),
    "report": Verb(
        "headstart.configs.report:ReportConfig",
        "headstart.verbs:report",
        "write the HTML page of a study or a run",
        positional=("run",),
    ),
}


GOES_ON = " What was checkpointed is kept; the same command with --resume goes on from there."
GOES_ON_ALONE = " What is finished is kept; the same command goes on from there."
INTERRUPTED = {
    **dict.fromkeys(("pretrain", "classify", "segment"), GOES_ON),
    **dict.fromkeys(("study", "demo", "predict"), GOES_ON_ALONE),
}
"""What an interrupted verb says; the others begin anew."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, or that of the error that is printed."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words[0] == "--version":
        from importlib.metadata import version

        print(version("headstart"))
        return 0
    name, rest = split_verb(words)
    if family(name) and (not rest or rest[0] in ("-h", "--help", "help")):
        print("\n".join([f"usage: headstart {name} COMMAND [--flag value ...]", "", *verb_lines(family(name))]))
        return 0
    try:
        return run(name, rest)
    except ConfigError as error:
        for problem in error.problems:
            print(f"headstart {name}: {problem}", file=sys.stderr)
    except HeadstartError as error:
        print(f"headstart {name}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        print(f"headstart {name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nInterrupted.{INTERRUPTED.get(name, '')}", file=sys.stderr)
        return 130
    known = f"{name} " if name in VERBS or family(name) else ""
    print(f"See: headstart {known}--help", file=sys.stderr)
    return ConfigError.exit_code


def split_verb(words: Sequence[str]) -> tuple[str, list[str]]:
    """The verb, which may be of two words, and what follows it."""
    n = 2 if " ".join(words[:2]) in VERBS else 1
    return " ".join(words[:n]), list(words[n:])


def family(name: str) -> list[str]:
    """The verbs of two words that begin with ``name``."""
    return [verb for verb in VERBS if verb.startswith(f"{name} ")]


def run(name: str, argv: Sequence[str]) -> int:
    """Parse the flags of one verb, call it, and print what it returned."""
    if name not in VERBS:
        raise ConfigError(f"unknown command; the commands are: {', '.join(family(name) or VERBS)}")
    verb = VERBS[name]
    config_class: type[Config] = load(verb.config)
    if "-h" in argv or "--help" in argv:
        print(usage(name, verb, config_class), flush=True)
        return 0
    config = parse(config_class, argv, verb.positional)
    ranks = (os.environ.get(name, "0") for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))
    first = set(ranks) == {"0"}  # every process of a training runs this; one speaks
    set_up_logging(logging.INFO if first else logging.ERROR)
    result = load(verb.function)(config)
    if first:
        say(result, as_json=bool(getattr(config, "json_output", False)), out=getattr(config, "out", None))
    return 0


def load(place: str) -> Any:
    """The object at ``module:name``."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def set_up_logging(level: int) -> None:
    """Our own log goes to standard error as plain lines from ``level`` on; some libraries only speak of errors."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter())
    logging.getLogger("headstart").handlers = [handler]
    logging.getLogger("headstart").setLevel(level)
    logging.getLogger("headstart").propagate = False
    for noisy in ("lightning_fabric", "openTSNE", "huggingface_hub", "timm"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


class Formatter(logging.Formatter):
    """The message, with its level in front where that is not just information."""

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        return text if record.levelno <= logging.INFO else f"{record.levelname.lower()}: {text}"


def say(result: Any, as_json: bool, out: Path | None) -> None:
    """Print a result: as JSON, or the few numbers that a person wants to see."""
    if as_json:
        print(result.model_dump_json() if hasattr(result, "model_dump_json") else json.dumps({"path": str(result)}))
        return
    from headstart.summaries import summary_lines

    for line in summary_lines(result, out):
        print(line)


def verb_lines(names: Iterable[str]) -> list[str]:
    """A line for each verb."""
    width = max(map(len, VERBS))
    return [f"  {name:<{width}} {VERBS[name].summary}" for name in names]


def overview() -> str:
    """What ``headstart --help`` prints."""
    return "\n".join(
        [
            "headstart: how much of a head start do your unlabelled images give you?",
            "",
            "usage: headstart COMMAND [--flag value ...]",
            "",
            *verb_lines(VERBS),
            "",
            "headstart COMMAND --help lists a command's flags. Begin with: headstart demo --out demo-report",
        ]
    )


def usage(name: str, verb: Verb, config_class: type[Config]) -> str:
    """What ``headstart COMMAND --help`` prints: every flag with its type, default and meaning."""
    free = "".join(f" {field.upper()}" for field in verb.positional)
    parts = [f"usage: headstart {name}{free} [--flag value ...]", "", config_class.__doc__ or "", ""]
    if verb.recipes:
        parts += [f"Recipes: {', '.join(load(verb.recipes))}. A recipe sets the defaults; flags win over it.", ""]
    required = {name: "?" for name, field in config_class.model_fields.items() if field.is_required()}
    defaults = flattened(config_class.model_validate(required, strict=False).model_dump(exclude=set(required)))
    for flag, field in fields_of(config_class).items():
        value = defaults.get(flag, field.get_default())
        default = "required" if field.is_required() else f"default: {shown(value)}"
        head = f"  --{flag}" + ("" if is_bool(field) else f" {type_words(field.annotation)}") + f"  ({default})"
        parts.append(head)
        parts.append(textwrap.indent(textwrap.fill(field.description or "", 100), " " * 8))
    return "\n".join(parts)


def flattened(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their flags, as ``fields_of`` names them."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flag = prefix + name.replace("_", "-")
        flat.update(flattened(value, flag + ".") if isinstance(value, dict) else {flag: value})
    return flat


def shown(value: Any) -> str:
    """A default as one would write it."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
