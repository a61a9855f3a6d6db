"""Classification from one start, fully trained or on a frozen backbone."""

from headstart.tasks.classify.verb import classify

__all__ = ["classify"]
