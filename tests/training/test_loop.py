"""The plan of a training, as plain arithmetic."""

from hypothesis import given
from hypothesis import strategies as st

from headstart.training.loop import looks_at


@given(epochs=st.integers(1, 500), looks=st.integers(1, 60))
def test_looks_are_as_many_as_asked_and_the_last_is_at_the_end(epochs: int, looks: int) -> None:
    at = looks_at(epochs, looks)
    assert len(at) == min(epochs, looks)
    assert max(at) == epochs
    assert min(at) >= 1


def test_looks_are_evenly_spaced() -> None:
    assert sorted(looks_at(100, 4)) == [25, 50, 75, 100]
    assert sorted(looks_at(9, 20)) == list(range(1, 10))
