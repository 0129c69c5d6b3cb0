"""The order in which items wait: requests take turns, whatever is pushed, put back or dropped."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rlvr.verifiers.server.lanes import Job, Turns


def jobs(*sizes):
    loop = asyncio.new_event_loop()
    try:
        return [Job([b""] * size, loop) for size in sizes]
    finally:
        loop.close()


def filled(*sizes):
    lane, made = Turns(), jobs(*sizes)
    for job in made:
        for item in job.items:
            lane.push(item)
    return lane, made


def test_requests_take_turns():
    lane, made = filled(3, 1, 2)
    order = [lane.pop() for _ in range(6)]
    assert [(made.index(item.job), item.index) for item in order] == [(0, 0), (1, 0), (2, 0), (0, 1), (2, 1), (0, 2)]
    with pytest.raises(KeyError):
        lane.pop()


@given(st.lists(st.integers(1, 5), max_size=8), st.integers(1, 6))
def test_how_many_are_ahead_of_a_new_request(sizes, size):
    lane, _ = filled(*sizes)
    ahead = lane.ahead_of(size)
    (job,) = jobs(size)
    for item in job.items:
        lane.push(item)
    order = [lane.pop().job is job for _ in range(len(lane))]
    last = len(order) - 1 - order[::-1].index(True)
    assert order[: last + 1].count(False) == ahead


def test_what_is_put_back_is_next():
    lane, _ = filled(2, 2)
    first = lane.pop()
    lane.push_first(first)
    assert len(lane) == 4 and lane.pop() is first


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.data())
def test_nothing_is_lost_or_doubled(sizes, data):
    lane, made = filled(*sizes)
    dropped = data.draw(st.sets(st.sampled_from(range(len(sizes)))))
    taken = [lane.pop() for _ in range(data.draw(st.integers(0, len(lane))))]
    for index in dropped:
        lane.drop(made[index])
    rest = [lane.pop() for _ in range(len(lane))]
    assert not lane
    counts = Counter(id(item) for item in taken + rest)
    assert set(counts.values()) <= {1}
    for index, job in enumerate(made):
        if index not in dropped:
            assert all(id(item) in counts for item in job.items)
        else:
            assert not any(item.job is job for item in rest)
