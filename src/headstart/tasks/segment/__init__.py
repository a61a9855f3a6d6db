"""Segmentation from one start of the encoder: training, masks over epochs, evaluation."""

from headstart.tasks.segment.verb import segment

__all__ = ["segment"]
