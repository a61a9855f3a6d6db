"""What must not change unnoticed: the first losses of each training, and the form of each result file.

A change that is meant: ``python -m tests.invariants.test_golden`` writes the files anew; CHANGELOG.md then says what
changed, with the digest that the failing test asks for.
"""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import write_classes
from tests.e2e.test_segment import scene
from tests.short_runs import CLASSIFY, PRETRAIN, SEGMENT

from headstart import results
from headstart.cli import main
from headstart.results import Record

GOLDEN = Path(__file__).parents[1] / "golden"
CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"
TOLERANCE = 1e-3
"""Relative: other processors and builds of PyTorch sum in another order, and training amplifies that."""
STEPS = 10
SGD = "--optim.name sgd --optim.lr 0.01"
TRAININGS = {
    "pretrain": PRETRAIN.replace("epochs 3", "epochs 4"),
    "classify": f"{CLASSIFY} {SGD}",
    "segment": f"{SEGMENT.replace('epochs 3', 'epochs 5')} {SGD}",
}


def data(verb: str, root: Path) -> Path:
    """Generated anew: 24 images of three classes, or as many pairs."""
    if verb != "segment":
        for part, seed in (("train", 0), ("val", 1)):
            write_classes(root / part, 14, 3, seed=seed)
        return root / "train" if verb == "pretrain" else root
    rng = np.random.default_rng(0)
    for part, n in (("train", 24), ("validation", 2)):
        (root / part).mkdir(parents=True)
        for i in range(n):
            scene(rng, root / part, i, unknown=False)
    return root


def losses(verb: str, root: Path) -> list[float]:
    """Of the first ten steps."""
    words = [verb, "--data", str(data(verb, root / "data")), *TRAININGS[verb].split(), "--out", str(root / "run")]
    assert main(words) == 0
    rows = [json.loads(line) for line in (root / "run" / "metrics.jsonl").read_text().splitlines()]
    found = [row["value"] for row in rows if row["name"] == "loss" and row["split"] == "train"]
    return [float(f"{loss:.6g}") for loss in found[:STEPS]]


def schemas() -> dict[str, Any]:
    """The JSON schema of every record that is a file of its own, without the words that describe it."""
    kinds = [getattr(results, name) for name in results.__all__]
    records = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Record)]
    return {kind.__name__: without_words(kind.model_json_schema()) for kind in records if is_file(kind)}


def is_file(kind: type[Record]) -> bool:
    return "schema_version" in kind.model_fields


def without_words(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: without_words(value) for key, value in schema.items() if key not in ("description", "title")}
    return [without_words(value) for value in schema] if isinstance(schema, list) else schema


def text(content: Any) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


@pytest.mark.parametrize("verb", TRAININGS)
def test_the_first_losses_are_those_of_the_golden_file(verb: str, tmp_path: Path) -> None:
    golden = json.loads((GOLDEN / "losses.json").read_text())[verb]
    assert len(golden) == STEPS
    assert losses(verb, tmp_path) == pytest.approx(golden, rel=TOLERANCE)


def test_the_form_of_result_files_is_that_of_the_golden_file() -> None:
    assert text(schemas()) == (GOLDEN / "schemas.json").read_text()


@pytest.mark.parametrize("name", ["losses", "schemas"])
def test_the_changelog_knows_of_the_golden_file(name: str) -> None:
    digest = hashlib.sha256((GOLDEN / f"{name}.json").read_bytes()).hexdigest()[:12]
    assert f"`{name}.json` {digest}" in CHANGELOG.read_text(), (
        f"say in CHANGELOG.md what changed: `{name}.json` {digest}"
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        (GOLDEN / "losses.json").write_text(text({verb: losses(verb, Path(folder) / verb) for verb in TRAININGS}))
    (GOLDEN / "schemas.json").write_text(text(schemas()))
