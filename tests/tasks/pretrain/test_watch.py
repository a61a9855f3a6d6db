"""What a look measures, against scikit-learn on the network's own features; and what stands beside it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from sklearn.neighbors import KNeighborsClassifier

from headstart.analysis.suited import suited
from headstart.configs.byol import ByolConfig, WatchConfig
from headstart.configs.pretrain import PretrainConfig
from headstart.data.imageset import ImageSet
from headstart.data.sources import open_source
from headstart.data.views import build_views
from headstart.tasks.pretrain.verb import build_byol
from headstart.tasks.pretrain.watch import Watch, make_watch, measure
from headstart.tasks.pretrain.watched import PAIRS


def config(data: Path, **changes: object) -> PretrainConfig:
    small = {"image_size": 32, "byol": ByolConfig(hidden_size=32, projection_size=16)}
    watch = WatchConfig(images=48)
    return PretrainConfig(data=str(data), out=data / "unused", backbone="test_resnet", watch=watch, **small, **changes)


def watch_of(settings: PretrainConfig, *sides: ImageSet | None):  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    byol, _ = build_byol(settings)
    assert sides[0] is not None
    views = build_views(suited(settings.views, sides[0])[0], 32, byol.backbone.mean, byol.backbone.std, 2)
    return byol, make_watch(settings, sides, views, byol, Fabric(accelerator="cpu", devices=1))


@pytest.fixture
def sides(gratings: Path) -> tuple[ImageSet, ImageSet]:
    source = open_source(str(gratings))
    assert source.val is not None
    return source.train, source.val


def test_knn_is_that_of_scikit_learn_on_the_features(gratings: Path, sides: tuple[ImageSet, ImageSet]) -> None:
    byol, watch = watch_of(config(gratings), *sides)
    byol.eval()
    with torch.no_grad():
        train, val = byol.backbone(watch.watched.images), byol.backbone(watch.watched.val[0])
    theirs = KNeighborsClassifier(20, weights=lambda d: np.exp((1 - d) / 0.07), metric="cosine", algorithm="brute")
    expected = theirs.fit(train.numpy(), watch.watched.labels).score(val.numpy(), watch.watched.val[1])
    assert watch.before.figures["knn"] == pytest.approx(expected)
    pixels = [images[:, :, :32, :32].flatten(1).numpy() for images in (watch.watched.images, watch.watched.val[0])]
    expected = theirs.fit(pixels[0], watch.watched.labels).score(pixels[1], watch.watched.val[1])
    assert watch.ground.floors["pixels"] == pytest.approx(expected)
    assert (watch.ground.n_knn, watch.ground.n_pairs) == (30, 48)


def test_a_look_leaves_the_network_as_it_was_and_is_the_same_again(gratings: Path, sides) -> None:
    byol, watch = watch_of(config(gratings), *sides)
    byol.train()
    state = {key: value.clone() for key, value in byol.state_dict().items()}
    again = measure(byol, watch.watched, watch.fabric)
    assert byol.training
    assert all(torch.equal(value, state[key]) for key, value in byol.state_dict().items())
    assert again.figures == watch.before.figures
    _, other = watch_of(config(gratings), *sides)
    assert other.before.figures == watch.before.figures
    assert other.ground == watch.ground


def test_without_a_change_there_is_no_gain_and_with_one_its_error_is_of_the_same_images(gratings: Path, sides) -> None:
    byol, watch = watch_of(config(gratings), *sides)
    same = watch.figures(byol)
    assert same["knn_gain_se"] == pytest.approx(1 / 32)
    assert same["retrieval_gain_se"] == 0
    for parameter in byol.backbone.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
    assert watch.figures(byol)["retrieval_gain_se"] > 0


@pytest.mark.parametrize("labels", ["none", "one class"])
def test_without_labels_there_is_no_knn_but_everything_else(gratings: Path, sides, labels: str) -> None:
    train = sides[0].unlabelled() if labels == "none" else sides[0].subset(range(10))
    _, watch = watch_of(config(gratings), train, sides[1])
    assert set(watch.before.figures) == {
        *("feature_std", "projection_std", "effective_rank", "alignment", "uniformity", "retrieval")
    }
    assert (watch.ground.measure, watch.ground.n_images, watch.ground.floors) == (
        "retrieval",
        len(watch.watched.pairs),
        {},
    )


def test_the_pairs_are_views_of_the_images_as_training_draws_them(gratings: Path, sides) -> None:
    _, plain = watch_of(config(gratings, views={"style": "none"}), *sides)
    assert plain.watched.pairs.shape == (48, 2, 3, 32, 32)
    assert torch.equal(plain.watched.pairs[:, 0], plain.watched.images)  # row i is of image i
    assert plain.before.figures["alignment"] == pytest.approx(0, abs=1e-6)
    _, drawn = watch_of(config(gratings), *sides)
    assert not torch.equal(drawn.watched.pairs[:, 0], drawn.watched.pairs[:, 1])
    assert drawn.before.figures["alignment"] > 0.01
    assert PAIRS >= 48


def test_from_other_weights_the_untrained_network_is_a_floor_of_its_own(gratings: Path, sides, tmp_path: Path) -> None:
    byol, scratch = watch_of(config(gratings), *sides)
    assert scratch.ground.floors["untrained"] == scratch.before.figures["knn"]
    weights = tmp_path / "weights.pth"
    torch.save({key: 3 * value + 0.1 for key, value in byol.backbone.network.state_dict().items()}, weights)
    _, supervised = watch_of(config(gratings, start=f"supervised={weights}"), *sides)
    assert isinstance(supervised, Watch)
    assert not supervised.ground.from_scratch
    assert supervised.before.hits.tolist() != scratch.before.hits.tolist()
    assert 0 <= supervised.ground.floors["untrained"] <= 1
    _, again = watch_of(config(gratings, start=f"supervised={weights}"), *sides)
    assert again.ground.floors == supervised.ground.floors
