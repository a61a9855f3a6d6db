"""Classification from one start, fully trained or on a frozen backbone."""

from headstart.tasks.classify.together import classify_together
from headstart.tasks.classify.verb import classify

__all__ = ["classify", "classify_together"]
