"""The harness: who has the turn when, what a ratio is, and what becomes of a way that fails."""

import json
from pathlib import Path

import pytest
from benchmarks.apart import Contestant, measure_apart
from benchmarks.folder import better
from benchmarks.harness import Row, Sample, cells, lines_of, measure_here, ratios, turns
from benchmarks.learning.markdown import markers

from benchmarks import peers, report

WAYS = "tests.benchmarks.ways"


def sample(*seconds: float, units: float = 1.0) -> Sample:
    return Sample(seconds=list(seconds), units=[units] * len(seconds))


def test_each_round_takes_each_way_once_and_begins_with_another() -> None:
    order = list(turns("abc", rounds=3, warm_ups=1))
    assert [name for _, name in order] == list("abcbcacababc")
    assert [counted for counted, _ in order] == [False] * 3 + [True] * 9


def test_warm_ups_are_not_counted() -> None:
    calls: list[str] = []
    found = measure_here({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2)
    assert calls == list("abbaab")
    assert [len(found[name].seconds) for name in "ab"] == [2, 2]
    assert found["a"].units == [1.0, 1.0]


def test_a_ratio_is_of_rates_within_a_round() -> None:
    ours, theirs = sample(1.0, 10.0, 2.0, units=10), sample(2.0, 30.0, 2.0, units=20)
    row = Row("work", "them", ours, theirs, goal=1.0)
    assert ratios(row) == [10 / 10, 1 / (20 / 30), 5 / 10]
    assert cells(row)[2:5] == ["**1** (0.5 to 1.5)", ">= 1", "met"]
    assert cells(Row("work", "them", ours, theirs, goal=1.01))[4] == "missed"
    assert cells(Row("work", "them", ours, theirs))[3:5] == ["-", ""]


def test_what_failed_is_named_with_its_reason() -> None:
    lines = lines_of([Row("work", "them", sample(1.0), Sample(failed="no wheel for this machine"), goal=2.0)])
    assert "not measured" in lines[2]
    assert "met" not in lines[2]
    assert lines[-1] == "- Not measured: them: no wheel for this machine"


def test_children_take_turns_and_a_broken_one_stops_alone(tmp_path: Path) -> None:
    path = tmp_path / "order.txt"
    entered = [Contestant(name, f"{WAYS}:notes", {"path": str(path), "name": name}) for name in "ab"]
    entered.insert(1, Contestant("broken", f"{WAYS}:breaks", {"after": 2}))
    found = measure_apart(entered, rounds=3, threads=1)
    assert path.read_text().split() == ["a", "b", "b", "a", "b", "a", "a", "b"]
    assert [len(found[name].seconds) for name in "ab"] == [3, 3]
    assert found["broken"].failed == "RuntimeError: out of order"
    assert found["a"].failed is None
    assert found["a"].peak_mb > 10


def test_children_are_timed_in_their_turns_only() -> None:
    entered = [
        Contestant("short", f"{WAYS}:sleeps", {"seconds": 0.05, "units": 3}),
        Contestant("long", f"{WAYS}:sleeps", {"seconds": 0.4}),
        Contestant("asks", f"{WAYS}:takes_turns", {"units": 7}, takes_turns=True),
    ]
    found = measure_apart(entered, rounds=2, threads=1)
    assert all(0.05 <= seconds < 0.3 for seconds in found["short"].seconds)
    assert all(0.4 <= seconds < 1.0 for seconds in found["long"].seconds)
    assert all(seconds < 0.09 for seconds in found["asks"].seconds)
    assert (found["short"].units, found["asks"].units) == ([3, 3], [7, 7])
    assert max(found["long"].processor_seconds) < 0.2


def test_a_target_that_is_not_there_is_a_reason() -> None:
    found = measure_apart([Contestant("none", f"{WAYS}:missing")], rounds=1, threads=1)
    assert "has no attribute 'missing'" in (found["none"].failed or "")


def test_a_peer_is_left_out_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_PEERS", str(tmp_path))
    peers.installed.cache_clear()
    contestant = Contestant("theirs", f"{WAYS}:sleeps", {"seconds": 0}, peer="lightly")
    assert "make peers" in (measure_apart([contestant], 1)["theirs"].failed or "")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    (tmp_path / "peers.json").write_text(
        json.dumps({"lightly": {"error": "no wheel"}, "byol-pytorch": {"version": "1"}})
    )
    peers.installed.cache_clear()
    assert peers.why_missing("lightly") == f"{peers.pins()['lightly']} cannot be installed: no wheel"
    assert peers.why_missing("byol-pytorch") is None
    peers.installed.cache_clear()


def test_peers_are_pinned() -> None:
    assert peers.pins() == {"byol-pytorch": "byol-pytorch==0.9.1", "lightly": "lightly==1.6.0"}


@pytest.mark.parametrize("quick", [False, True])
def test_a_table_is_put_into_its_section_but_not_a_quick_one(quick: bool, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    begin, end = markers("start")
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    words = ["--page", str(page), "--out", str(tmp_path), *(["--quick"] if quick else [])]
    asked = report.parsed(report.parser(None), words)
    assert asked.rounds == (report.QUICK_ROUNDS if quick else report.ROUNDS)
    report.publish("start", [Row("work", "them", sample(1.0), sample(3.0))], asked, {"side": 5}, ["a note"])
    written = page.read_text()
    assert ("old" in written) == quick
    assert ("**3** (3 to 3)" in written) != quick
    assert written.startswith("before")
    assert written.endswith("after\n")
    facts = json.loads((tmp_path / f"start{'-quick' if quick else ''}.json").read_text())
    assert facts["rows"][0]["ratios"] == [3.0]
    assert facts["settings"] == {"side": 5}


def test_the_page_has_a_section_for_every_bench() -> None:
    text = report.PAGE.read_text()
    for name in ("start", "byol", "folder", "reading", "raster", "growth", "knn", "tsne", "frozen_study"):
        begin, end = markers(name)
        assert text.index(begin) < text.index(end)


def test_no_rounds_are_refused() -> None:
    with pytest.raises(SystemExit):
        report.parsed(report.parser(None), ["--rounds", "0"])


def test_the_faster_worker_count_counts() -> None:
    samples = {"0": sample(3.0, 3.0), "2": sample(1.0, 2.0), "4": Sample(failed="gone")}
    assert better(samples)[0] == "2"
    assert better({"4": samples["4"]})[1].failed == "gone"
