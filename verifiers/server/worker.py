"""The worker's side of the service: one verifier, one task at a time.

Frames in: the pickled verifier, then pickled tasks, `("judge", problem, completion)` or `("explain", gold, text,
extract)`. Frames out: empty when the verifier is loaded or one line that says why not, then a pickled verdict or row
for each task. A task that is too slow is killed from outside.
"""

import json
import pickle
from typing import Any, cast

from ..extract import Level
from ..pool import judge
from ..process import FrameChannel
from ..rows import explanation_row
from ..types import Completion, Problem, Verifier, not_judged


def serve(settings: str) -> None:
    """`settings`: JSON with `limit_s`, after which an orphan ends, and `memory_mb` (None: no limit)."""
    options = json.loads(settings)
    channel = FrameChannel(float(options["limit_s"]))
    if options["memory_mb"] is not None:
        _bound_memory(options["memory_mb"])
    code = channel.read()
    if code is None:
        return
    try:
        verifier: Verifier = pickle.loads(code)
    except Exception as error:  # noqa: BLE001 - whatever its modules raise on import, the service is told
        channel.write(" ".join(f"{type(error).__name__}: {error}".split())[:300].encode())
        return
    channel.write(b"")
    while (frame := channel.read()) is not None:
        channel.write(pickle.dumps(_answer(verifier, pickle.loads(frame)), protocol=pickle.HIGHEST_PROTOCOL))


def _answer(verifier: Verifier, task: tuple[Any, ...]) -> object:
    match task:
        case ("judge", problem, completion):
            return judge(verifier, cast(Problem, problem), cast(Completion, completion))
        case (_, gold, text, extract):
            return _explain(cast(str, gold), cast(str, text), cast(Level, extract))
        case _:
            raise AssertionError(task)


def _explain(gold: str, text: str, extract: Level) -> object:
    from ..math.explain import explain

    try:
        return explanation_row(gold, text, explain(gold, text, extract=extract))
    except Exception as error:  # noqa: BLE001 - a fault of ours: this request is told, the worker goes on
        return not_judged("verifier_raised", f"{type(error).__name__}: {error}"[:300])


def _bound_memory(megabytes: int) -> None:
    """What a verifier allocates past this raises MemoryError inside it, which is a verdict like any exception."""
    import resource

    size = megabytes << 20
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))
