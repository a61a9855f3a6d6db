"""BYOL pre-training: from a source of images to an exported backbone."""

from headstart.tasks.pretrain.verb import pretrain

__all__ = ["pretrain"]
