"""Pre-training from files to an exported backbone: the same whatever the machinery around it does."""

import json
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from PIL import Image

from headstart.configs.byol import ByolConfig, WatchConfig
from headstart.configs.optimisation import OptimConfig, ScheduleConfig
from headstart.configs.pretrain import PretrainConfig
from headstart.errors import DataError, RunError, WeightsError
from headstart.models.backbones import build_backbone
from headstart.models.byol import Byol
from headstart.models.weights import load_start
from headstart.tasks.pretrain import pretrain
from headstart.tasks.pretrain.verb import build_byol
from headstart.training import fit
from headstart.training.budget import epochs_in
from headstart.training.health import COLLAPSED_STD

FLAGS = shlex.split(
    "--image-size 32 --batch-size 8 --precision fp32 --workers 0 --byol.hidden-size 32 "
    "--byol.projection-size 16 --watch.looks 3 --watch.images 32"
)


def config(data: Path, out: Path, **changes: Any) -> PretrainConfig:
    settings: dict[str, Any] = {
        "backbone": "test_resnet",
        "image_size": 32,
        "batch_size": 8,
        "epochs": 3,
        "precision": "fp32",
        "workers": 0,
        "byol": ByolConfig(hidden_size=32, projection_size=16),
        "watch": WatchConfig(looks=3, images=32),
    }
    return PretrainConfig(data=str(data), out=out, **(settings | changes))


def weights(run: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / "export" / "backbone.safetensors")


def metrics(run: Path) -> list[dict[str, Any]]:
    """All lines without their clock readings."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "time"} for row in rows]


def losses(run: Path) -> list[float]:
    return [row["value"] for row in metrics(run) if row["name"] == "loss"]


def assert_same_run(first: Path, second: Path) -> None:
    ours, theirs = weights(first), weights(second)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert metrics(first) == metrics(second)
    assert early_word(first) == early_word(second)


def early_word(run: Path) -> dict[str, Any] | None:
    word: dict[str, Any] | None = json.loads((run / "result.json").read_text())["early_word"]
    return word


def test_a_run_leaves_what_the_contract_names(flat_images: Path, tmp_path: Path) -> None:
    result = pretrain(config(flat_images, tmp_path / "run"))
    assert (result.status, result.n_images, result.steps, result.knn) == ("finished", 24, 9, None)
    run = tmp_path / "run"
    for name in ("config.json", "data.json", "result.json", "views.png", "checkpoints/last.ckpt", "metrics.jsonl"):
        assert (run / name).is_file(), name
    assert json.loads((run / "config.json").read_text())["config"]["backbone"] == "test_resnet"
    names = {row["name"] for row in metrics(run)}
    looked = {"feature_std", "effective_rank", "projection_std", "alignment", "uniformity", "retrieval"}
    assert names == {"loss", "lr", "tau", "retrieval_gain_se"} | looked
    assert len(losses(run)) == 9
    assert all(0 <= loss <= 8 for loss in losses(run))
    assert not list(run.rglob("*.part"))


def test_the_export_is_the_start_of_another_backbone(flat_images: Path, tmp_path: Path) -> None:
    pretrain(config(flat_images, tmp_path / "run", epochs=1))
    backbone = build_backbone("test_resnet", 32)
    report = load_start(backbone, f"ssl={tmp_path / 'run'}")
    assert report is not None
    assert report.share == 1.0
    assert all(
        torch.equal(value, backbone.network.state_dict()[key]) for key, value in weights(tmp_path / "run").items()
    )


def test_labels_give_a_knn_probe_before_and_while_training(gratings: Path, tmp_path: Path) -> None:
    result = pretrain(config(gratings, tmp_path / "run", epochs=2))
    assert result.knn is not None
    assert result.knn_before is not None
    assert 0 <= result.knn <= 1
    assert (tmp_path / "run" / "checkpoints" / "best.ckpt").is_file()


def test_after_a_tenth_a_word_is_said_and_the_end_judges_it(
    gratings: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """28 steps of 7 an epoch: the word falls within the first epoch, on the look that the log holds."""
    result = pretrain(config(gratings, tmp_path / "run", epochs=4, watch=WatchConfig(looks=2, images=32)))
    word = result.early_word
    assert word is not None
    assert (word.step, word.steps, word.end_step, word.measure, word.n_images) == (2, 28, 28, "knn", 30)
    looks: dict[int, dict[str, float]] = {}
    for row in metrics(tmp_path / "run"):
        if row["split"] == "watch":
            looks.setdefault(row["step"], {})[row["name"]] = row["value"]
    assert sorted(looks) == [2, 14, 28]
    assert word.now.model_dump() == looks[2]
    assert word.end is not None
    assert word.end.model_dump() == looks[28]
    assert (word.before.knn, word.end.knn) == (result.knn_before, result.knn)
    assert word.floors["untrained"] == result.knn_before
    assert 0 <= word.floors["pixels"] <= 1
    assert f"Early word: {word.verdict}. {word.sentence}" in caplog.messages


def test_a_training_of_less_than_ten_steps_has_no_early_word(flat_images: Path, tmp_path: Path) -> None:
    assert pretrain(config(flat_images, tmp_path / "run")).early_word is None


@pytest.mark.parametrize("stop_early", [True, False])
def test_a_word_stops_the_run_only_where_that_is_asked_for(flat_images: Path, tmp_path: Path, stop_early: bool) -> None:
    """The ruinous weight decay again, at once, looked at only after a tenth and at the end."""
    ruin: dict[str, Any] = {
        "optim": OptimConfig(name="sgd", lr=1.0, momentum=0.0, weight_decay=1.0),
        "schedule": ScheduleConfig(name="constant", warmup_fraction=0.0),
        "views": {"crop_scale": (0.3, 1.0)},  # with larger crops it is not ruined yet after six steps
        "watch": WatchConfig(looks=1, images=32, on_collapse="warn", stop_early=stop_early),
    }
    result = pretrain(config(flat_images, tmp_path / "run", epochs=20, **ruin))
    assert result.early_word is not None
    assert result.early_word.verdict == "stop"
    if stop_early:
        assert (result.status, result.steps, result.early_word.end) == ("stopped", 0, None)
        assert "--watch.stop-early" in str(result.reason)
        good = torch.load(tmp_path / "run" / "checkpoints" / "good.ckpt", weights_only=True)
        exported = weights(tmp_path / "run")
        assert all(torch.equal(exported[k], good["module"][f"online.0.network.{k}"]) for k in exported)
    else:
        assert (result.status, result.steps, result.early_word.held) == ("finished", 60, True)


def test_one_seed_agrees_bit_for_bit_with_any_number_of_workers(flat_images: Path, tmp_path: Path) -> None:
    for name, workers in (("a", 0), ("b", 0), ("c", 2)):
        pretrain(config(flat_images, tmp_path / name, workers=workers))
    assert_same_run(tmp_path / "a", tmp_path / "b")
    assert_same_run(tmp_path / "a", tmp_path / "c")


def test_another_seed_gives_another_run(flat_images: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        pretrain(config(flat_images, tmp_path / str(seed), seed=seed, epochs=1))
    assert losses(tmp_path / "0") != losses(tmp_path / "1")


def test_accumulation_steps_the_target_once_per_optimiser_step(
    flat_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taus: list[float] = []
    update = Byol.update_target
    monkeypatch.setattr(Byol, "update_target", lambda self, tau: (taus.append(tau), update(self, tau)))
    pretrain(config(flat_images, tmp_path / "run", accumulate=2, epochs=2))
    assert len(taus) == len(losses(tmp_path / "run")) == 6
    assert taus == sorted(taus)
    assert taus == [row["value"] for row in metrics(tmp_path / "run") if row["name"] == "tau"]


def test_a_broken_file_is_quarantined_counted_and_not_replaced(gratings: Path, tmp_path: Path) -> None:
    source = tmp_path / "images"
    source.mkdir()
    for i, path in enumerate(sorted(gratings.rglob("*.png"))[:20]):
        (source / f"{i:02}.png").write_bytes(path.read_bytes())
    (source / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n not really")
    result = pretrain(config(source, tmp_path / "run", epochs=1))
    assert (result.n_images, result.quarantined) == (20, 1)
    assert "broken.png" in (tmp_path / "run" / "quarantine.csv").read_text()


def test_blank_images_are_warned_about_before_training(tmp_path: Path) -> None:
    source = tmp_path / "images"
    source.mkdir()
    for i in range(12):
        Image.new("RGB", (40, 40), (i, i, i)).save(source / f"{i}.png")
    result = pretrain(config(source, tmp_path / "run", epochs=1, watch=WatchConfig(images=32, on_collapse="warn")))
    assert result.views.near_constant_share > 0.9
    assert result.warnings
    assert "--views.crop-scale" in result.warnings[0]


def test_a_collapsed_run_stops_and_says_why(flat_images: Path, tmp_path: Path) -> None:
    """Weight decay that leaves nothing of the weights: every image ends as the same vector."""
    ruin = OptimConfig(name="sgd", lr=1.0, momentum=0.0, weight_decay=1.0)
    result = pretrain(
        config(flat_images, tmp_path / "run", epochs=30, optim=ruin, watch=WatchConfig(looks=30, images=32))
    )
    assert result.status == "collapsed"
    assert "nearly the same vector" in str(result.reason)
    looks: dict[int, list[float]] = {}
    for row in metrics(tmp_path / "run"):
        if row["name"] in ("feature_std", "projection_std"):
            looks.setdefault(row["step"], []).append(row["value"])
    down = {step: min(values) < COLLAPSED_STD for step, values in looks.items()}
    assert list(down.values())[-2:] == [True, True]
    good = torch.load(tmp_path / "run" / "checkpoints" / "good.ckpt", weights_only=True)
    assert result.steps == good["step"] == max([0, *(step for step, bad in down.items() if not bad)])
    exported = weights(tmp_path / "run")
    assert all(torch.equal(exported[k], good["module"][f"online.0.network.{k}"]) for k in exported)


def test_a_loss_that_is_no_number_stops_the_run(flat_images: Path, tmp_path: Path) -> None:
    result = pretrain(config(flat_images, tmp_path / "run", optim=OptimConfig(name="sgd", lr=1e38)))
    assert result.status == "diverged"
    assert "--optim.lr" in str(result.reason)
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path / "run").values())


def test_init_from_takes_the_weights_and_a_fresh_optimiser(flat_images: Path, tmp_path: Path) -> None:
    pretrain(config(flat_images, tmp_path / "first"))
    second = pretrain(config(flat_images, tmp_path / "second", init_from=tmp_path / "first", epochs=1))
    assert second.start == f"ssl={tmp_path / 'first'}"
    assert second.steps == 3
    assert second.weights is not None
    assert second.weights.share == 1.0


def test_init_from_takes_the_heads_and_the_target_too(flat_images: Path, tmp_path: Path) -> None:
    first = config(flat_images, tmp_path / "first", epochs=1)
    pretrain(first)
    byol, _ = build_byol(config(flat_images, tmp_path / "second", init_from=tmp_path / "first"))
    known = torch.load(tmp_path / "first" / "checkpoints" / "last.ckpt", weights_only=True)["module"]
    assert all(torch.equal(value, known[key]) for key, value in byol.state_dict().items())
    with pytest.raises(WeightsError, match="--byol sizes"):
        build_byol(config(flat_images, tmp_path / "third", init_from=tmp_path / "first", byol=ByolConfig()))


def test_a_budget_sets_the_epochs_and_a_resume_keeps_them(
    flat_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trial is a real one; the machine counts as one that takes 0.1 s a step, and as a slower one afterwards."""
    measured, pace = fit.seconds_per_step, [0.1]

    def at_pace(*arguments: Any) -> float:
        assert measured(*arguments) > 0
        return pace[0]

    monkeypatch.setattr(fit, "seconds_per_step", at_pace)
    first = pretrain(config(flat_images, tmp_path / "run", budget_minutes=0.05))
    assert first.epochs == epochs_in(0.05, 0.1, 3) > 3
    pace[0] = 1.0
    assert pretrain(config(flat_images, tmp_path / "run", budget_minutes=0.05, resume=True)) == first
    (tmp_path / "run" / "result.json").unlink()
    assert pretrain(config(flat_images, tmp_path / "run", budget_minutes=0.05, resume=True)).epochs == first.epochs


def test_an_occupied_directory_is_refused_with_the_remedy(flat_images: Path, tmp_path: Path) -> None:
    pretrain(config(flat_images, tmp_path / "run", epochs=1))
    with pytest.raises(RunError, match=r"--resume .* --overwrite"):
        pretrain(config(flat_images, tmp_path / "run", epochs=1))
    with pytest.raises(RunError, match="epochs: begun with 1, now 2"):
        pretrain(config(flat_images, tmp_path / "run", epochs=2, resume=True))
    assert pretrain(config(flat_images, tmp_path / "run", epochs=2, overwrite=True)).steps == 6


def test_overwrite_leaves_alone_what_is_not_such_a_run(flat_images: Path, tmp_path: Path) -> None:
    precious = tmp_path / "model"
    precious.mkdir()
    (precious / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(RunError, match="not headstart's"):
        pretrain(config(flat_images, precious, overwrite=True))
    pretrain(config(flat_images, tmp_path / "run", epochs=1))
    with pytest.raises(DataError):
        pretrain(config(tmp_path / "typo", tmp_path / "run", epochs=1, overwrite=True))
    assert (precious / "config.json").is_file()
    assert (tmp_path / "run" / "result.json").is_file()


def test_a_resume_on_other_images_is_refused(flat_images: Path, tmp_path: Path) -> None:
    source = tmp_path / "images"
    shutil.copytree(flat_images, source)
    pretrain(config(source, tmp_path / "run", epochs=1))
    (tmp_path / "run" / "result.json").unlink()
    (source / "000.png").unlink()
    with pytest.raises(RunError, match="not those that"):
        pretrain(config(source, tmp_path / "run", epochs=1, resume=True))
    with pytest.raises(RunError, match="lies in the folder of images"):
        pretrain(config(source, source / "run", epochs=1))


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "headstart", *words]


@pytest.mark.parametrize("losses_before", [1, 5, 30])
def test_killed_and_resumed_equals_never_interrupted(
    flat_images: Path,
    tmp_path: Path,
    losses_before: int,
    killed_and_whole: Callable[[Sequence[str], Path, int], tuple[Path, Path]],
) -> None:
    """SIGKILL once a few steps are logged, before or after the early word (step 6); the checkpoints are every 2 steps,
    so some steps are done twice.
    """
    words = ["pretrain", "--data", str(flat_images), *FLAGS, "--backbone=test_resnet", "--epochs=20"]
    killed, whole = killed_and_whole([*words, "--checkpoint-steps=2"], tmp_path, losses_before)
    assert_same_run(killed, whole)
    word = early_word(killed)
    assert word is not None
    assert word["step"] == 6


def test_a_failed_beginning_leaves_the_directory_usable(flat_images: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        pretrain(config(tmp_path / "nowhere", tmp_path / "run"))
    assert pretrain(config(flat_images, tmp_path / "run", epochs=1)).status == "finished"
