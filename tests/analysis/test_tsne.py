"""t-SNE: structure that was planted is seen, noise is not, and pictures of two epochs can be compared."""

import json

import numpy as np
import pytest
import torch
from scipy.spatial import procrustes

from headstart.analysis.probes import leave_one_out_knn, silhouette
from headstart.analysis.tsne import (
    embed,
    lay_out,
    principal_components,
    starting_points,
    stratified_sample,
    tsne_run,
    usable_perplexity,
)
from headstart.errors import RunError
from headstart.results import ClassifyResult, TsneResult

SHORT = (100, 150)


def planted(n: int, n_classes: int, spread: float, seed: int, d: int = 32) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    return rng.normal(size=(n_classes, d))[labels] + spread * rng.normal(size=(n, d)), labels


def points(layout) -> np.ndarray:
    return np.array(layout.points)


def knn_in_picture(layout, labels, k=5) -> float:
    distance = np.linalg.norm(points(layout)[:, None] - points(layout)[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    votes = labels[np.argsort(distance, axis=1)[:, :k]]
    return float(np.mean([np.bincount(row).argmax() == own for row, own in zip(votes, labels, strict=True)]))


def test_two_planted_clusters_stay_apart_and_shuffled_noise_does_not():
    features, labels = planted(200, 2, spread=0.8, seed=0)
    (layout,) = lay_out([(1, features)], labels, seed=0, iterations=SHORT)
    assert knn_in_picture(layout, labels) > 0.95
    shuffled = np.random.default_rng(1).permutation(labels)
    noise = np.random.default_rng(2).normal(size=features.shape)
    (layout,) = lay_out([(1, noise)], shuffled, seed=0, iterations=SHORT)
    assert 0.3 < knn_in_picture(layout, shuffled) < 0.7


def test_the_second_picture_keeps_the_arrangement_of_the_first():
    """Six classes, later tighter and with new centres: an independent picture arranges them anew."""
    together, apart = [], []
    for seed in range(3):
        early, labels = planted(198, 6, spread=0.8, seed=seed)
        late, _ = planted(198, 6, spread=0.5, seed=100 + seed)
        first, second = lay_out([(1, early), (9, late)], labels, seed=0, iterations=SHORT)
        (alone,) = lay_out([(9, late)], labels, seed=0, iterations=SHORT)
        together.append(procrustes(points(first), points(second))[2])
        apart.append(procrustes(points(first), points(alone))[2])
        assert knn_in_picture(second, labels) > 0.95  # the start did not spoil the picture
    assert np.mean(together) < 0.5 * np.mean(apart)


def test_numbers_beside_the_picture_are_of_the_features():
    features, labels = planted(60, 3, spread=1.5, seed=3)
    (layout,) = lay_out([(4, features)], labels, seed=0, iterations=(20, 20))
    assert layout.epoch == 4
    assert layout.knn == leave_one_out_knn(features, labels, k=20)
    assert layout.silhouette == silhouette(features, labels)


def test_one_seed_one_picture():
    features, labels = planted(80, 4, spread=1.0, seed=4)
    early, late = (1, features), (2, features[:, ::-1] + 0.1)
    assert lay_out([early, late], labels, 5, iterations=SHORT) == lay_out([early, late], labels, 5, iterations=SHORT)


def test_threads_change_no_point():
    features, _ = planted(400, 4, spread=1.0, seed=4)
    threads, layouts = torch.get_num_threads(), []
    components = principal_components(features, seed=0)
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            layouts.append(embed(components, starting_points(components, seed=0), 30.0, SHORT, seed=0))
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(layouts[0], layouts[1])
    assert np.array_equal(layouts[0], layouts[2])


def test_a_start_has_openTSNEs_scale():  # noqa: N802
    spread = np.random.default_rng(0).normal(size=(500, 7)) * 40
    start = starting_points(spread, seed=0)
    assert start.shape == (500, 2)
    assert np.std(start[:, 0]) == pytest.approx(1e-4, rel=0.01)
    assert np.corrcoef(start[:, 1], spread[:, 1])[0, 1] > 0.999  # the arrangement is the old one
    from_nothing = starting_points(np.zeros((500, 2)), seed=0)
    assert np.std(from_nothing[:, 0]) == pytest.approx(1e-4, rel=0.1)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", [(5, 3), (30, 1), (12, 2048)])
def test_few_images_few_dimensions_and_collapsed_features_have_a_picture(shape):
    labels = np.arange(shape[0]) % 2
    varied = np.random.default_rng(0).normal(size=shape)
    for layout in lay_out([(1, varied), (2, np.ones(shape))], labels, seed=0, iterations=(10, 10)):
        assert np.isfinite(points(layout)).all()
        assert len(layout.points) == shape[0]
    assert principal_components(varied, 0).shape == (shape[0], max(2, min(50, *shape)))


def test_perplexity_is_lowered_for_few_points():
    assert usable_perplexity(1000) == 30
    assert usable_perplexity(10) == 3


@pytest.mark.parametrize("features", [np.ones((4, 3)), np.full((10, 3), np.nan)])
def test_features_without_a_picture_are_refused(features):
    with pytest.raises(ValueError, match="at least 5 images, and finite"):
        lay_out([(1, features)], np.arange(len(features)) % 2, seed=0)


def test_the_sample_has_each_class_in_proportion():
    labels = np.repeat([0, 1, 2], [700, 250, 50])
    chosen = stratified_sample(labels, 100, seed=0)
    assert len(np.unique(chosen)) == 100
    assert np.abs(np.bincount(labels[chosen]) - [70, 25, 5]).max() <= 1
    assert np.array_equal(chosen, stratified_sample(labels, 100, seed=0))
    assert not np.array_equal(chosen, stratified_sample(labels, 100, seed=1))
    assert np.array_equal(stratified_sample(labels, 5000, seed=0), np.arange(1000))


def finished_run(folder, setting="ssl/full"):
    """A run directory with a result and no features yet."""
    result = ClassifyResult(
        setting=setting,
        start="ssl=r",
        trained="full",
        letter="C",
        backbone="resnet18",
        recipe="default",
        label_fraction=1.0,
        seed=0,
        accuracy=0.5,
        balanced_accuracy=0.5,
        n_train=90,
        n_val=10,
        classes=["forest", "water", "<urban>"],
        confusion=[],
        frozen_views=None,
        epochs=12,
        steps=12,
        weights=None,
        precision="fp32",
        seconds=1.0,
        quarantined=0,
    )
    (folder / "features").mkdir(parents=True)
    result.save(folder / "result.json")
    return folder


def save_epoch(run, epoch, features, labels, index):
    np.savez(
        run / "features" / f"train_epoch_{epoch:04d}.npz",
        features=features.astype(np.float16),
        labels=labels,
        index=index,
    )


def test_a_run_gives_first_and_last_epoch_of_the_same_images(tmp_path):
    run = finished_run(tmp_path / "run")
    early, labels = planted(90, 3, spread=3.0, seed=0)
    late, _ = planted(90, 3, spread=0.3, seed=1)
    order = np.random.default_rng(0).permutation(90)
    save_epoch(run, 1, early, labels, np.arange(90))
    save_epoch(run, 7, early * 0, labels, np.arange(90))
    save_epoch(run, 12, late[order][:80], labels[order][:80], order[:80])  # another order, and ten images fewer
    result = tsne_run(run, n_max=60)
    assert [layout.epoch for layout in result.layouts] == [1, 12]
    assert (result.n_images, result.n_total, result.setting) == (60, 80, "ssl/full")
    assert result.perplexity == usable_perplexity(60)
    assert np.bincount(result.labels).max() - np.bincount(result.labels).min() <= 4
    assert knn_in_picture(result.layouts[1], np.array(result.labels)) > 0.95  # labels still belong to their points
    assert result.layouts[1].silhouette > result.layouts[0].silhouette
    assert TsneResult.model_validate_json((run / "tsne.json").read_text()) == result


def test_one_epoch_gives_one_picture(tmp_path):
    run = finished_run(tmp_path / "run")
    features, labels = planted(30, 3, spread=0.5, seed=0)
    save_epoch(run, 3, features, labels, np.arange(30))
    assert [layout.epoch for layout in tsne_run(run).layouts] == [3]


def test_what_is_missing_is_named_with_its_remedy(tmp_path):
    with pytest.raises(RunError, match=r"no result.json.*--resume"):
        tsne_run(tmp_path)
    run = finished_run(tmp_path / "run")
    with pytest.raises(RunError, match=r"has no features.*--overwrite"):
        tsne_run(run)
    features, labels = planted(30, 3, spread=0.5, seed=0)
    damaged = run / "features" / "train_epoch_0001.npz"
    damaged.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(RunError, match=r"cannot be read.*--overwrite"):
        tsne_run(run)
    save_epoch(run, 1, features, labels[:7], np.arange(7))
    with pytest.raises(RunError, match="do not fit together"):
        tsne_run(run)
    save_epoch(run, 1, features * np.inf, labels, np.arange(30))
    with pytest.raises(RunError, match="not finite"):
        tsne_run(run)
    save_epoch(run, 1, features, labels * 0, np.arange(30))
    with pytest.raises(RunError, match="two classes"):
        tsne_run(run)
    assert not (run / "tsne.json").exists()
    (run / "result.json").write_text(json.dumps({"task": "pretrain"}))
    with pytest.raises(RunError, match="not the result of a classification"):
        tsne_run(run)
