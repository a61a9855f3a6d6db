"""The verbs as Python functions: callable before and after their rooms were imported."""

from importlib import import_module

import headstart


def test_every_name_is_there() -> None:
    for name in headstart.__all__:
        assert getattr(headstart, name) is not None


def test_no_room_hides_a_verb() -> None:
    rooms = (
        "cli",
        "embedded",
        "verbs",
        "studies.execute",
        "reports.render",
        "tasks.pretrain",
        "analysis.tsne",
        "analysis.data_check",
        "analysis.miou",
    )
    for room in rooms:
        import_module(f"headstart.{room}")
    for verb in ("pretrain", "classify", "study", "demo", "tsne", "report", "data_check", "miou"):
        assert callable(getattr(headstart, verb)), verb
