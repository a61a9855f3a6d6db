"""When pre-training has stopped to be worth its electricity."""

from headstart.errors import TrainingStopped

COLLAPSED_STD = 0.01
CONSECUTIVE_LOOKS = 2


def collapsed(feature_std: float, projection_std: float) -> bool:
    """Whether all images look the same to the network.

    Both are spreads of L2-normalised vectors in [0, 1] (see ``analysis.probes.feature_std``): 1 is isotropic, 0 is one
    vector for every image. Below 0.01 the mean cosine between two images is above 0.9999.
    """
    return feature_std < COLLAPSED_STD or projection_std < COLLAPSED_STD


def diverged() -> TrainingStopped:
    """Why training stops when the features are no longer numbers, and what to change."""
    return TrainingStopped(
        "diverged",
        "The network's features are no longer finite numbers. Lower --optim.lr, or set --optim.grad-clip 1; the last "
        "good checkpoint is kept.",
    )


def stopped_early() -> TrainingStopped:
    """Why training stops on an early word, where that was asked for."""
    return TrainingStopped(
        "stopped",
        "The early word was stop, and --watch.stop-early was given; the last good checkpoint before it is kept.",
    )


def judge_collapse(looks_in_a_row: int, feature_std: float, projection_std: float) -> TrainingStopped | None:
    """After two collapsed looks in a row: why training stops, what it means and what to change."""
    if looks_in_a_row < CONSECUTIVE_LOOKS:
        return None
    return TrainingStopped(
        "collapsed",
        f"The network gives all images nearly the same vector (spread of the features {feature_std:.4f}, of the "
        f"projections {projection_std:.4f}; healthy is above {COLLAPSED_STD}). Going on would not help. Lower "
        "--optim.lr, raise --byol.tau-base towards 1, or use stronger views; the last good checkpoint is kept.",
    )
