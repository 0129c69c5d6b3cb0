"""The pool by itself, in an event loop of its own."""

import asyncio
import os

from rlvr.verifiers import Completion, Problem, verify_format
from rlvr.verifiers.server.pool import Pool


def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_comes_after_its_end_is_answered_at_once():
    async def reasons():
        pool = Pool(verify_format, workers=1, slow=1, timeout_s=10, patience_s=1, queue=10)
        pool.start()
        workers = pool.pids
        pool.close()
        job = pool.submit([(Problem("1"), Completion("4"))] * 2, 1000)
        verdicts = await job.future
        while any(map(exists, workers)):  # they are reaped by and by
            await asyncio.sleep(0.01)
        return [verdict.reason for verdict in verdicts]

    assert asyncio.run(asyncio.wait_for(reasons(), 60)) == ["overloaded", "overloaded"]
