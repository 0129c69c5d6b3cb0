"""The same verdicts from everywhere: threads, an event loop, spawned, forked and daemonic processes, score_many.

Over real completions where they are, and over a small set that is always there and in which every pair that can reach
the symbolic tail does so in each place: what a process remembers is forgotten first.
"""

import asyncio
import multiprocessing
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import lru_cache
from itertools import islice

import pytest
from rlvr.verifiers import Completion, Problem, equivalent, score_many, verify_math
from rlvr.verifiers.math import compare, normalize, number, symbolic, verify

# gold, text, status: each rung, each status, and the tail in both directions
BUILT_IN = [
    ("42", r"so \boxed{42}", "correct"),
    ("42", r"so \boxed{43}", "wrong"),
    (r"\frac{1}{2}", r"<think>\boxed{1}</think> \boxed{0.5}", "correct"),
    ("1,234", "A: 1234", "correct"),
    (r"\text{even}", "<answer>even</answer>", "correct"),
    (r"\text{even}", "<answer>odd</answer>", "wrong"),
    ("42", r"\boxed{42 or 43}", "wrong"),
    ("16", r"\boxed{2^4 = 16}", "correct"),
    ("3", r"\boxed{1 = 2 = 3}", "wrong"),
    ("42", "no answer", "unextracted"),
    ("42", r"\boxed{}", "unextracted"),
    ("", r"\boxed{42}", "error"),
    ("x^2+1", r"\boxed{1+x^2}", "correct"),
    ("x^2+1", r"\boxed{1-x^2}", "wrong"),
    ("(x+1)^2", r"\boxed{x^2+2x+1}", "correct"),
    (r"\frac{\sqrt{3}}{3}", r"\boxed{\frac{1}{\sqrt{3}}}", "correct"),
    (r"\frac{\sqrt{3}}{3}", r"\boxed{\frac{2}{\sqrt{3}}}", "wrong"),
    (r"2\sqrt{2}", r"\boxed{\sqrt{8}}", "correct"),
    ("x>2", r"\boxed{(2,\infty)}", "correct"),
    ("(1,2)", r"\boxed{(2,1)}", "wrong"),
    ("7", r"\boxed{\sqrt{7}}", "wrong"),
    ("6!", r"\boxed{720}", "correct"),
    ("1+2i", r"\boxed{2i+1}", "correct"),
    (r"\sin^2 x", r"\boxed{1-\cos^2 x}", "correct"),
    # for the symbolic tail
    *((rf"\sum_{{k=1}}^{{{n}}} k", rf"\boxed{{{n * (n + 1) // 2}}}", "correct") for n in range(3, 10)),
    *((rf"\sum_{{k=1}}^{{{n}}} k", rf"\boxed{{{n * n + 1}}}", "wrong") for n in range(3, 10)),
]
FROM_EACH = {
    "qwen_math_100x8": 150,
    "qwen2.5_14b_math500": 100,
    "sky_t1_32b_math500": 100,
    "gsm8k_gpt3_labelled": 60,
    "nemo_rs2": 50,
    "aime24_30x22_pooled": 40,
}


def forget():
    """Empty what this process remembers, so that each place judges for itself."""
    for module in (compare, normalize, number, symbolic, verify):
        for thing in vars(module).values():
            if isinstance(thing, type(lru_cache(len))):
                thing.cache_clear()


@pytest.fixture(scope="module", params=["built in", "real"])
def pairs(request):
    if request.param == "built in":
        return [(Problem(str(i), answer=gold), Completion(text)) for i, (gold, text, _) in enumerate(BUILT_IN)]
    dump = request.getfixturevalue("dump")
    samples = [sample for name, n in FROM_EACH.items() for sample in islice(dump(name), n)]
    assert len(samples) == 500
    return [(Problem(sample.id, answer=sample.gold), Completion(sample.text)) for sample in samples]


@pytest.fixture(scope="module")
def expected(pairs):
    """What the main thread says."""
    forget()
    verdicts = [verify_math(*pair) for pair in pairs]
    if len(pairs) == len(BUILT_IN):  # what models wrote hardly ever gets to the tail
        assert sum(verdict.reason.startswith("symbolic") for verdict in verdicts) >= 10
    return verdicts


@pytest.fixture(autouse=True)
def forgetful():
    forget()


def test_the_built_in_verdicts_are_right():
    for gold, text, status in BUILT_IN:
        assert verify_math(Problem("1", answer=gold), Completion(text)).status == status


def test_forget_forgets():
    assert symbolic.symbolically_equal("x^2+1", "1+x^2", 60.0)
    assert symbolic.symbolically_equal.cache_info().currsize == 1
    forget()
    assert symbolic.symbolically_equal.cache_info().currsize == 0


def test_again_in_the_main_thread(pairs, expected):
    assert [verify_math(*pair) for pair in pairs] == expected
    assert [verify_math(*pair) for pair in pairs] == expected  # and from what is remembered
    forget()
    assert [verify_math(*pair) for pair in reversed(pairs)] == expected[::-1]


def test_eight_threads(pairs, expected):
    """Each judges all of them, at the same time, starting at another place."""
    n = len(pairs)
    results = {}
    start = threading.Barrier(8)

    def judge(thread):
        start.wait()
        turn = thread * n // 8
        order = [*range(turn, n), *range(turn)]
        results[thread] = {i: verify_math(*pairs[i]) for i in order}

    threads = [threading.Thread(target=judge, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(results[thread] == dict(enumerate(expected)) for thread in range(8))


def test_a_pool_of_eight_threads(pairs, expected):
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda pair: verify_math(*pair), pairs)) == expected


def test_an_event_loop(pairs, expected):
    async def directly():
        return [verify_math(*pair) for pair in pairs]

    async def in_threads():
        return await asyncio.gather(*(asyncio.to_thread(verify_math, *pair) for pair in pairs))

    assert asyncio.run(directly()) == expected
    forget()
    assert asyncio.run(in_threads()) == expected


def test_a_spawned_process_pool(pairs, expected):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(verify_math, *zip(*pairs, strict=True), chunksize=25)) == expected


@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="no fork server here")
def test_a_fork_server(pairs, expected):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver")) as pool:
        assert list(pool.map(verify_math, *zip(*pairs, strict=True), chunksize=25)) == expected


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_daemonic_processes(method, pairs, expected):
    """The workers of a multiprocessing.Pool may have no children of multiprocessing's."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.starmap(verify_math, pairs, chunksize=25) == expected


needs_fork = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
# Python 3.12 warns of a fork beside threads; that this works is what is tested.
may_fork = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def judge_and_send(pairs, connection):
    connection.send([verify_math(*pair) for pair in pairs])
    connection.close()


def forked(pairs, *, daemon):
    """The verdicts of a forked child."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=judge_and_send, args=(pairs, theirs), daemon=daemon)
    child.start()
    theirs.close()
    try:
        assert ours.poll(200), "the child says nothing"
        return ours.recv()
    finally:
        child.kill() if sys.exc_info()[0] else child.join()
        ours.close()


@needs_fork
@may_fork
@pytest.mark.parametrize("daemon", [False, True])
def test_after_a_fork_when_the_tail_was_running(daemon, pairs, expected):
    assert symbolic.symbolically_equal("x+17", "17+x", 60.0)
    forget()
    assert forked(pairs, daemon=daemon) == expected
    # and the parent's tail is none the worse for it
    assert [verify_math(*pair) for pair in pairs] == expected


@needs_fork
@may_fork
def test_two_forks_and_the_parent_at_the_same_time(pairs, expected):
    """A tail that is shared by mistake mixes up its answers."""
    assert symbolic.symbolically_equal("x+17", "17+x", 60.0)
    forget()
    context = multiprocessing.get_context("fork")
    ends = []
    for part in (pairs, pairs[::-1]):
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=judge_and_send, args=(part, theirs))
        child.start()
        theirs.close()
        ends.append((child, ours))
    assert [verify_math(*pair) for pair in pairs] == expected
    for (child, ours), wanted in zip(ends, (expected, expected[::-1]), strict=True):
        assert ours.poll(200), "the child says nothing"
        assert ours.recv() == wanted
        child.join()
        ours.close()


@needs_fork
@may_fork
def test_a_fork_while_another_thread_is_in_the_tail():
    """The child gets the lock as it was, held by a thread that it does not have."""
    gold, answer = "7", "9^{9^{9}}"
    busy = threading.Thread(target=verify_math, args=(Problem("1", answer=gold), Completion(rf"\boxed{{{answer}}}")))
    busy.start()
    pairs = [(Problem("1", answer="x^2+3"), Completion(r"\boxed{3+x^2}"))]
    for _ in range(3):
        assert [verdict.status for verdict in forked(pairs, daemon=True)] == ["correct"]
    busy.join()
    assert verify_math(*pairs[0]).status == "correct"


@pytest.mark.parametrize("workers", [0, 2])
def test_score_many(workers, pairs, expected):
    assert list(score_many(verify_math, pairs, workers=workers)) == expected


def test_equivalent_in_eight_threads(expected):
    answers = sorted({v.extracted for v in expected if v.extracted and len(v.extracted) < 40})[:15]
    couples = [(a, b) for a in answers for b in answers]
    wanted = [equivalent(a, b) for a, b in couples]
    forget()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda couple: equivalent(*couple), couples)) == wanted
