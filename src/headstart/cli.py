"""The command line: parse, call, print. Nothing heavy is imported before a verb is known to be well asked for."""

import errno
import json
import logging
import os
import shlex
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from unicodedata import category

from headstart.configs.base import Config
from headstart.configs.flags import fields_of, is_bool, parse, type_words
from headstart.errors import ConfigError, HeadstartError, StopRequested
from headstart.files import DISK_FULL
from headstart.training.signals import STOP


@dataclass(frozen=True)
class Verb:
    """Where a verb's config and function live (``module:name``), which fields need no flag, and its recipes."""

    config: str
    function: str
    summary: str
    positional: tuple[str, ...] = ()
    recipes: str | None = None
    verdict: str | None = None
    """Function of the config and the printed result that raises where the command is to end as a mistake."""


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
        "headstart.verbs:predict",
        "masks or classes of images and GeoTIFFs of any size, by a finished run's model",
        positional=("run", "inputs"),
    ),
    "masks": Verb(
        "headstart.configs.masks:MasksConfig",
        "headstart.sam.verb:masks",
        "everything in images as masks, by Segment Anything, in files for people and for other tools",
        positional=("inputs",),
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
        verdict="headstart.verbs:refuse_doubts",
    ),
    "data pack": Verb(
        "headstart.configs.data:DataPackConfig",
        "headstart.verbs:data_pack",
        "decode a source's images once and keep the pixels, for trainings to come",
        positional=("data",),
        verdict="headstart.verbs:refuse_undecodable",
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
    "compare": Verb(
        "headstart.configs.compare:CompareConfig",
        "headstart.verbs:compare",
        "say where two runs or two studies first differ, or that they are equal",
        positional=("run_a", "run_b"),
    ),
}


MISTAKEN_PATH = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG}
"""What the system says of a path that cannot be meant, or may not be used; anything else is the machine's failure."""
RESUMED = ("pretrain", "classify", "segment")
TAKEN_UP_AGAIN = ("study", "demo", "predict", "masks")
"""Verbs that go on by ``--resume``, and by the same command; the others begin anew."""


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
        with STOP.listen(launched=int(os.environ.get("WORLD_SIZE", 1)) > 1, speaks=is_first()):
            return run(name, rest)
    except ConfigError as error:
        for problem in error.problems:
            print(harmless(f"headstart {name}: {problem}"), file=sys.stderr)
    except HeadstartError as error:
        print(harmless(f"headstart {name}: {error}"), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        print(harmless(f"headstart {name}: {os_error_words(error)}"), file=sys.stderr)
        return ConfigError.exit_code if is_mistaken_path(error) else 1
    except KeyboardInterrupt as interrupt:
        return stopped(name, rest, interrupt)
    known = f"{name} " if name in VERBS or family(name) else ""
    print(f"See: headstart {known}--help", file=sys.stderr)
    return ConfigError.exit_code


def is_mistaken_path(error: OSError) -> bool:
    """Whether the user named a path that is not there, or is not what it should be."""
    return error.filename is not None and error.errno in MISTAKEN_PATH


def os_error_words(error: OSError) -> str:
    """What to tell of an error that nothing nearer to it explained."""
    if is_mistaken_path(error):
        return f"{error.filename}: {error.strerror}. Check the path and its permissions."
    if error.filename is None and error.errno in DISK_FULL:  # a file's would be a MachineError
        return f"cannot write what is said: {error.strerror}. What is finished is kept; say it to another place."
    return str(error)


def stopped(name: str, argv: Sequence[str], interrupt: KeyboardInterrupt) -> int:
    """Say what a command that was asked to stop has saved and how to go on; the exit code.

    Of several processes the first one's code counts: a launcher takes another's for a failure, and kills all.
    """
    if not is_first():
        return 0
    request = interrupt if isinstance(interrupt, StopRequested) else StopRequested("SIGINT")
    lines = [f"\nStopped by {request.signal_name}" + (f" {request.saved}." if request.saved else ".")]
    if name in RESUMED + TAKEN_UP_AGAIN:
        kept = [word for word in argv if not word.startswith(("--resume", "--overwrite", "--no-resume"))]
        words = [name, *kept, *(["--resume"] if name in RESUMED else [])]
        lines.append(f"What is finished is kept. To go on: headstart {shlex.join(words)}")
    print("\n".join(lines), file=sys.stderr)
    return request.exit_code


def is_first() -> bool:
    """Whether this process is the one, of all that a launcher started, that speaks."""
    return {os.environ.get(name, "0") for name in ("RANK", "LOCAL_RANK", "NODE_RANK")} == {"0"}


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
    first = is_first()  # every process of a training runs this; one speaks
    set_up_logging(logging.INFO if first else logging.ERROR)
    result = load(verb.function)(config)
    if first:
        say(result, as_json=bool(getattr(config, "json_output", False)), out=getattr(config, "out", None))
    if verb.verdict:
        load(verb.verdict)(config, result)
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
        return harmless(text if record.levelno <= logging.INFO else f"{record.levelname.lower()}: {text}")


def harmless(text: str) -> str:
    """``text`` with control and formatting characters written out, as \\x1b: what a file is called, or holds, is
    printed too, and must not command the terminal or turn the order of what stands beside it.
    """
    return "".join(
        sign if sign in "\n\t" or category(sign) not in ("Cc", "Cf", "Cs") else ascii(sign)[1:-1] for sign in text
    )


def say(result: Any, as_json: bool, out: Path | None) -> None:
    """Print a result: as JSON, or the few numbers that a person wants to see."""
    if as_json:
        print(result.model_dump_json() if hasattr(result, "model_dump_json") else json.dumps({"path": str(result)}))
        return
    from headstart.summaries import summary_lines

    for line in summary_lines(result, out):
        print(harmless(line))


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
    required = {name: f"?{name}" for name, field in config_class.model_fields.items() if field.is_required()}
    defaults = flattened(config_class.model_validate(required, strict=False).model_dump(exclude=set(required)))
    for flag, field in sorted(fields_of(config_class).items(), key=lambda each: "." in each[0]):  # groups come last
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
