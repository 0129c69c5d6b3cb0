"""Nothing is left: not after a close, not after the scorer was killed, and nothing of a live owner is swept."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from rlvr.sandbox import DockerSandbox, Limits, Program
from rlvr.sandbox.containers import OWNER, connect, sweep
from rlvr.sandbox.types import Assertions

SCORER = """
import sys, time
from rlvr.sandbox import DockerSandbox, Limits, Program
sandbox = DockerSandbox(workers=1)
with sandbox.open(Program("import time; print(1, flush=True); time.sleep(600)")) as session:
    print("up", flush=True)
    next(session.run([b""]))
"""


ROUND = (  # a source, and the outcomes that it may have
    ("print(input())", {"ok"}),
    ("import os\nif os.fork() == 0:\n    os.setsid()\n    while True: pass", {"ok"}),
    ("import os\nfor d in ('/tmp/x', '/dev/shm/x'): os.mkdir(d); os.chmod(d, 0)", {"ok"}),
    (
        "import os\nwhile True:\n    try:\n        if os.fork() == 0: os.setsid()\n    except OSError: os._exit(0)",
        {"ok", "signal"},
    ),
    ("import os\nos.write(1, b'x' * 10_000_000)", {"output_limit"}),
    ("import os\nos.kill(-1, 19)", {"ok"}),
    ("import os\nos.kill(-1, 9)", {"ok"}),
    ("x = bytearray(1 << 40)", {"memory_limit"}),
)


def containers_of(client: Any, pid: int) -> list[str]:
    found = client.api.containers(all=True, filters={"label": OWNER})
    return [each["Id"] for each in found if json.loads(each["Labels"][OWNER])["pid"] == pid]


def eventually(condition: Callable[[], bool]) -> bool:
    for _ in range(300):
        if condition():
            return True
        time.sleep(0.1)
    return False


def test_nothing_is_left_after_kill_9_of_the_scorer(sandbox: DockerSandbox) -> None:
    client = connect(None)
    scorer = subprocess.Popen([sys.executable, "-c", SCORER], stdout=subprocess.PIPE)
    assert scorer.stdout is not None
    assert scorer.stdout.readline() == b"up\n"
    assert len(containers_of(client, scorer.pid)) == 1
    os.kill(scorer.pid, signal.SIGKILL)
    scorer.wait()
    scorer.stdout.close()
    assert eventually(lambda: containers_of(client, scorer.pid) == [])
    client.close()


def test_soak(sandbox: DockerSandbox) -> None:
    """So many programs, most of them hostile, in one container: no process, no file, and memory flat."""
    client = connect(None)
    limits = Limits(output_kb=1024, cpu_s=3.0)
    own = DockerSandbox(workers=1, limits=limits)
    memory = list[int]()
    with own:
        for number in range(int(os.environ.get("SOAK", "500"))):
            source, outcomes = ROUND[number % len(ROUND)]
            with own.open(Program(source)) as session:
                (result,) = session.run([b"x"])
            assert result.outcome in outcomes, (source, result)
            if number in (100, 499) or number % 5000 == 4999:
                (container,) = [c for c in containers_of(client, os.getpid()) if c not in others(client, own)]
                stats = client.api.stats(container, stream=False)
                memory.append(stats["memory_stats"]["usage"])
                assert stats["pids_stats"]["current"] <= 5
        look = (
            "import os\nprint([os.listdir(d) for d in ('/dev/shm', '/tmp')])\n"
            "print(sum(n.isdigit() for n in os.listdir('/proc')))"
        )
        with own.open(Program(look)) as session:
            (result,) = session.run([b""])
        folders, processes = result.stdout.decode().splitlines()
        assert folders.startswith("[[], ['box") and int(processes) <= 6
    assert memory[-1] < memory[0] + (16 << 20)
    client.close()


def others(client: Any, own: DockerSandbox) -> set[str]:
    """Containers of this process that are not `own`'s."""
    mine = {link.id for engine in own._engines for link in engine._links}
    return set(containers_of(client, os.getpid())) - mine


def test_close_leaves_nothing(sandbox: DockerSandbox) -> None:
    client = connect(None)
    before = set(containers_of(client, os.getpid()))
    with DockerSandbox(workers=2) as own, own.open(Program("print(1)")) as session:
        list(session.run([b""]))
        assert set(containers_of(client, os.getpid())) > before
    assert eventually(lambda: set(containers_of(client, os.getpid())) <= before)
    client.close()


def test_sweeping_spares_the_living(sandbox: DockerSandbox) -> None:
    client = connect(None)
    with sandbox.open(Program("print(input())")) as session:
        list(session.run([b"1"]))
        sweep(client)
        assert [result.stdout for result in session.run([b"2"])] == [b"2\n"]
    client.close()


def test_sweeping_takes_what_a_dead_owner_left(sandbox: DockerSandbox) -> None:
    from rlvr.sandbox.containers import owner

    client = connect(None)
    dead = owner() | {"pid": 2**22 + 1}
    made = client.api.create_container(
        client.images.get(sandbox.image_name()).id, labels={OWNER: json.dumps(dead)}, command=["x"]
    )
    assert sweep(client) >= 1
    assert made["Id"] not in containers_of(client, dead["pid"])
    client.close()


def test_an_engine_that_loses_containers_costs_no_honest_program_its_verdict(sandbox: DockerSandbox) -> None:
    client = connect(None)
    others = set(containers_of(client, os.getpid()))
    slow = Assertions("import time\nfor n in range(50): assert f(n) == n; time.sleep(0.01)", names=("f",))
    source = "import time\ndef f(n): time.sleep(0.01); return n"
    gone: list[str] = []

    def lose(after_s: float) -> None:
        time.sleep(after_s)
        for container in set(containers_of(client, os.getpid())) - others:
            client.api.remove_container(container, force=True)
            gone.append(container)

    with DockerSandbox(workers=1) as ours:
        for round_ in range(6):
            with ours.open(Program(f"{source}  # {round_}")) as session:
                results = iter(session.judge([slow, slow]))
                assert next(results).passed
                loser = threading.Thread(target=lose, args=[0.15 * round_])  # before the second test begins, and within
                loser.start()
                assert next(results).passed
                loser.join()
    client.close()
    assert len(gone) == 12
