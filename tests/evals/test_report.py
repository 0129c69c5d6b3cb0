"""The report: which samples it holds and what its data say. What a browser makes of it: test_report_browser.py."""

import gzip
import json
import random
import re
import tracemalloc
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rlvr.evals.report import write_report
from rlvr.evals.selection import COMPLETION_HEAD, COMPLETION_TAIL, ReportSample, Selection
from rlvr.evals.tally import Tally
from rlvr.verifiers.types import Status, Verdict

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!--<script>"


def sample(
    id: str = "p",
    n: int = 0,
    status: Status = "wrong",
    completion: str = "so \\boxed{7}",
    score: float | None = 0.0,
    **more: Any,
) -> ReportSample:
    score = 1.0 if status == "correct" else score
    fields = {
        "reason": "different_number",
        "detail": None,
        "prompt": "How many?",
        "gold": "8",
        "extracted": "7",
        **more,
    }
    return ReportSample(id=id, sample=n, status=status, score=score, completion=completion, **fields)


def write(
    path: Path,
    samples: Iterable[ReportSample],
    title: str = "a run",
    selection: Selection | None = None,
    **summary: Any,
) -> Path:
    tally, selection = Tally(), Selection() if selection is None else selection
    for s in samples:
        tally.add(s.id, Verdict(s.score, s.status, s.reason, s.extracted), len(s.completion))
        selection.add(s)
    write_report(path, title=title, summary=summary, tally=tally, selection=selection)
    return path


def block(page: Path, name: str) -> Any:
    """The data of one script block, as the browser would read it."""
    found = re.search(rf'<script type="[^"]*" id="{name}-data">([^<]*)</script>', page.read_text())
    assert found
    return json.loads(gzip.decompress(b64decode(found[1])))


def ids(selection: Selection) -> list[tuple[str, int]]:
    return [(shown.sample.id, shown.sample.sample) for shown in selection.chosen()]


# ---- which samples the page holds


def test_all_samples_are_kept_while_they_fit_in_input_order() -> None:
    selection = Selection()
    samples = [
        sample(
            f"p{i % 7}",
            i,
            "correct" if i % 3 else "wrong",
            parts={"a": {"score": 1.0, "status": "correct", "reason": "r"}},
        )
        for i in range(50)
    ]
    for s in samples:
        selection.add(s)
    assert [shown.sample for shown in selection.chosen()] == samples
    assert [shown.index for shown in selection.chosen()] == list(range(50))
    assert selection.describe() == "all 50 samples"


@pytest.mark.parametrize("limits", [{"max_samples": 60}, {"max_bytes": 12_000}])
def test_the_choice_depends_on_neither_order_nor_chance(limits: dict[str, int]) -> None:
    texts = random.Random(5)
    samples = [sample(f"p{i}", 0, "correct" if i % 2 else "wrong", "x" * texts.randrange(1, 900)) for i in range(300)]
    choices: list[set[tuple[str, int]]] = []
    for seed in range(6):
        selection = Selection(**limits)
        random.Random(seed).shuffle(samples)
        for s in samples:
            selection.add(s)
        choices.append(set(ids(selection)))
        assert 0 < selection.kept < 300
    assert all(choice == choices[0] for choice in choices)


def test_those_that_are_not_correct_come_first() -> None:
    selection = Selection(max_samples=100)
    for i in range(1000):
        selection.add(sample(f"p{i}", 0, "wrong" if i % 20 == 0 else "correct"))
    statuses = [shown.sample.status for shown in selection.chosen()]
    assert (statuses.count("wrong"), statuses.count("correct")) == (50, 50)
    assert selection.seen == 1000
    assert selection.describe() == (
        "100 of 1,000 samples: all 50 that are not correct, and 50 of the 950 correct ones, "
        "picked by a hash of problem and sample number"
    )  # fmt: skip


def test_what_is_said_of_the_choice() -> None:
    def said(limit: int, *statuses: Status) -> str:
        selection = Selection(max_samples=limit)
        for i, status in enumerate(statuses):
            selection.add(sample(f"p{i}", 0, status))
        return selection.describe()

    assert said(9) == "no samples"
    assert said(9, "wrong") == "the only sample"
    assert said(0, "wrong", "correct") == "none of the 2 samples"
    assert said(1, "wrong", "correct") == "1 of 2 samples: all that are not correct, and none of the 1 correct ones"
    assert said(1, "correct", "correct") == "1 of 2 samples, picked by a hash of problem and sample number"
    assert said(1, "wrong", "error", "correct").startswith("1 of 3 samples: 1 of the 2 that are not correct, picked")


def test_a_sample_that_the_input_repeats_is_in_or_out_as_a_whole() -> None:
    selection = Selection(max_samples=3)
    for _ in range(5):
        selection.add(sample("same", 0))
    assert selection.kept == 0
    assert selection.describe() == "none of the 5 samples"


def test_memory_follows_the_limit_and_not_the_input() -> None:
    noise = random.Random(0)
    selection = Selection(max_bytes=500_000)
    tracemalloc.start()
    for i in range(2000):
        selection.add(sample(f"p{i}", 0, completion=b64encode(noise.randbytes(9_000)).decode()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 20 < selection.kept < 50
    assert peak < 2_000_000  # of 24 MB


def test_a_huge_completion_keeps_its_head_and_its_tail() -> None:
    text = "begin " + "x" * 3_000_000 + " \\boxed{7}"
    selection = Selection()
    selection.add(sample(completion=text, prompt="q" * 90_000, gold="g" * 9_000, extracted=""))
    (shown,) = selection.chosen()
    assert shown.length == len(text)
    assert shown.gap == (COMPLETION_HEAD, len(text) - COMPLETION_HEAD - COMPLETION_TAIL)
    assert len(shown.sample.completion) == COMPLETION_HEAD + COMPLETION_TAIL
    assert shown.sample.completion.startswith("begin x")
    assert shown.sample.completion.endswith("\\boxed{7}")
    assert "50,000 more characters not shown" in str(shown.sample.prompt)
    assert len(str(shown.sample.gold)) < 4_100
    assert shown.sample.extracted == ""


def test_negative_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="0 samples or more"):
        Selection(max_samples=-1)


# ---- what the page's data say


def test_equal_runs_give_equal_pages(tmp_path: Path) -> None:
    samples = [sample(f"p{i}", 0, completion="text " * i) for i in range(40)]
    pages = [write(tmp_path / name, samples, files=[{"name": "x"}]).read_bytes() for name in ("a.html", "b.html")]
    assert pages[0] == pages[1]


def test_nothing_hostile_stands_in_the_page_and_its_policy_names_its_script(tmp_path: Path) -> None:
    page = write(
        tmp_path / "r.html",
        [sample(HOSTILE, completion=HOSTILE, prompt=HOSTILE)],
        title=HOSTILE + "{{index}}",
        notes=[HOSTILE],
    )
    text = page.read_text()
    assert "alert(" not in text.replace("&lt;script&gt;alert(1)", "").replace("onerror=alert(2)", "")
    assert "<img" not in text
    script = text.split("<script>")[1].split("</script>")[0]
    digest = b64encode(sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert f"script-src 'sha256-{digest}'" in policy[1]
    assert "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]
    assert not re.search(r"(src|href)\s*=\s*[\"']?https?:", text)


def test_half_a_surrogate_pair_and_other_odd_text_do_no_harm(tmp_path: Path) -> None:
    page = write(
        tmp_path / "r.html", [sample("\ud800", completion="a\x00b\ud83d", extracted="\u2028")], title="\udcff.jsonl"
    )
    assert block(page, "index")["extracted"]["values"] == [""]  # a line separator is white space


def test_no_sample_and_missing_or_broken_statistics(tmp_path: Path) -> None:
    assert block(write(tmp_path / "r.html", []), "head")["counts"]["samples"] == 0
    broken = {"mean": float("nan"), "stderr": None, "ci95": [None, float("inf")]}
    head = block(write(tmp_path / "r.html", [sample()], score=broken), "head")
    assert head["summary"]["score"] == {"mean": None, "stderr": None, "ci95": [None, None]}


def test_plots_stay_small_for_many_problems(tmp_path: Path) -> None:
    tally = Tally()
    for i in range(100_000):
        verdict = Verdict(float(i % 3 == 0), "correct" if i % 3 == 0 else "wrong", "same_number")
        tally.add(f"problem {i // 2}", verdict, i % 5_000)
    write_report(tmp_path / "r.html", title="t", summary={}, tally=tally, selection=Selection(max_samples=0))
    head = block(tmp_path / "r.html", "head")
    assert len(head["problems"]) == 300
    assert sum(bar["samples"] for bar in head["problems"]) == 100_000
    assert [head["problems"][0]["first"], head["problems"][-1]["last"]] == [0, 49_999]
    means = [bar["mean"] for bar in head["problems"]]
    assert means == sorted(means, reverse=True)
    assert sum(sum(bin["counts"]) for bin in head["lengths"]) == 100_000
    assert len(head["lengths"]) <= 24
    assert (tmp_path / "r.html").stat().st_size < 100_000


def test_bars_by_problem_appear_where_they_say_something(tmp_path: Path) -> None:
    def bars(*samples: ReportSample) -> list[dict[str, Any]]:
        return block(write(tmp_path / "r.html", samples), "head")["problems"]

    assert bars(sample("a"), sample("a", 1)) == []  # one problem
    assert bars(sample("a"), sample("b", 0, "correct")) == []  # one sample each, right or wrong
    unjudged = sample("c", 0, "error", score=None)
    two = bars(sample("a"), sample("b", 0, "correct"), sample("b", 1), unjudged)
    assert [(bar["id"], bar["mean"], bar["correct"]) for bar in two] == [("b", 0.5, 1), ("a", 0.0, 0), ("c", None, 0)]
    assert len(bars(sample("a", score=0.25), sample("b"))) == 2


def sample_map(tmp_path: Path, counts: list[int]) -> Any:
    samples = [
        sample(f"p{i}", n, "correct" if n < i else "wrong") for i, most in enumerate(counts) for n in range(most)
    ]
    return block(write(tmp_path / "map.html", samples), "head")["map"]


def test_the_map_holds_every_sample_by_its_number(tmp_path: Path) -> None:
    found = sample_map(tmp_path, [3, 1, 3])
    assert found == {"rows": ["0  ", "001", "111"], "ids": ["p1", "p2", "p0"]}


@pytest.mark.parametrize("counts", [[4], [1] * 20, [2] * 301, [400] * 150])
def test_there_is_no_map_that_says_nothing_or_does_not_fit(counts: list[int], tmp_path: Path) -> None:
    assert sample_map(tmp_path, counts) is None


@pytest.mark.parametrize(("shortest", "longest"), [(0, 0), (3, 7), (1, 60_000_000), (999, 1000), (250, 900)])
def test_every_length_falls_into_a_bin(tmp_path: Path, shortest: int, longest: int) -> None:
    bins = block(write(tmp_path / "r.html", [sample(completion="x" * n) for n in (shortest, longest)]), "head")[
        "lengths"
    ]
    assert sum(map(sum, (bin["counts"] for bin in bins))) == 2
    assert bins[0]["from"] <= shortest
    assert all(a["to"] == b["from"] for a, b in pairwise(bins))
    assert bins[-1]["from"] <= longest
    assert len(bins) <= 24


def test_a_failed_write_leaves_the_old_page(tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    page.write_text("old")

    class Fails(Selection):
        calls = 0

        def chosen(self) -> Iterator[Any]:
            self.calls += 1
            if self.calls == 2:  # once for the index, then for the texts: by now half of the page is written
                raise OSError("no space left on device")
            return super().chosen()

    with pytest.raises(OSError, match="no space"):
        write(page, [sample()], selection=Fails())
    assert page.read_text() == "old"
    assert list(tmp_path.iterdir()) == [page]


def test_a_link_to_the_page_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "target.html").write_text("old")
    (tmp_path / "link.html").symlink_to(tmp_path / "target.html")
    write(tmp_path / "link.html", [sample()])
    assert (tmp_path / "link.html").is_symlink()
    assert "<!doctype html>" in (tmp_path / "target.html").read_text()


def test_a_problem_without_samples_has_no_bar(tmp_path: Path) -> None:
    tally = Tally()
    for id, score in (("a", 1.0), ("a", None), ("b", 0.5)):
        tally.add(id, Verdict(score, "error" if score is None else "wrong", "r"), 1)
    tally.number("stopped before its first sample")
    write_report(tmp_path / "r.html", title="t", summary={}, tally=tally, selection=Selection())
    head = block(tmp_path / "r.html", "head")
    assert [(bar["id"], bar["mean"], bar["not_judged"]) for bar in head["problems"]] == [("a", 0.5, 1), ("b", 0.5, 0)]
    assert head["counts"]["problems"] == 2
