"""The processes below the runner: the zygote that forks, and the spare process that becomes a job's."""

from __future__ import annotations

import array
import ctypes
import gc
import json
import math
import os
import resource
import signal
import socket
import sys
import threading
import types
from typing import Any, NoReturn

PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
_FDS = 4
_SPARES = 2
"""One starts while the other works."""
_PRELOADED = (
    *("array", "bisect", "collections", "copy", "datetime", "decimal", "enum", "fractions", "functools", "heapq"),
    *("io", "itertools", "json", "linecache", "math", "operator", "queue", "random", "re", "statistics", "string"),
    *("sys", "time", "traceback", "typing", "marshal", "atexit", "contextlib", "dataclasses", "tempfile"),
)
_libc = ctypes.CDLL(None, use_errno=True)


def preload() -> None:
    """Import what most programs import, once."""
    for name in _PRELOADED:
        __import__(name)
    from . import conversation, python  # noqa: F401  # pyright: ignore[reportUnusedImport]


def serve_zygote(jobs: socket.socket, config: dict[str, Any]) -> NoReturn:
    """Keep spare processes waiting. This process was forked before any job came, and never sees one.

    A spare is the child of a child that ends at once, so that it becomes the runner's own to wait for. When it has its
    job it asks for a successor.
    """
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    taken, take = os.pipe()
    os.write(take, b"t" * (_SPARES - 1))
    while True:
        middle = os.fork()
        if middle:
            os.waitpid(middle, 0)
        elif os.fork():
            os._exit(0)
        else:
            _libc.prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)
            become_job(jobs, take, config)
        os.read(taken, 1)


def become_job(jobs: socket.socket, take: int, config: dict[str, Any]) -> NoReturn:
    """Wait for a job, give up every right, and do it."""
    try:
        text, rights, _, _ = jobs.recvmsg(1 << 16, socket.CMSG_SPACE(_FDS * 4))
    except ConnectionResetError:
        os._exit(0)  # the runner is gone
    if not text:
        os._exit(0)
    os.write(take, b"t")
    jobs.send(str(os.getpid()).encode())  # only now may it be killed: before, it would leave no successor
    fds = array.array("i")
    fds.frombytes(rights[0][2])
    job = json.loads(text)
    jobs.detach()
    _take_descriptors(list(fds))
    os.setsid()
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")  # the kernel, short of memory, takes a job's process before the runner
    except OSError:
        pass  # its own limit still holds; the runner may have to be replaced
    _limit(job)
    uid = job["uid"]
    if config["contained"]:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    _libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # it holds nothing secret now, and /dev/stdin must open
    os.umask(0o022)
    os.mkdir(job["cwd"], 0o700)
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(_environment(job, config))
    _do(job)


def _take_descriptors(fds: list[int]) -> None:
    """Standard streams and, as 3, the channel to the runner; nothing else stays open."""
    high = [os.dup2(fd, 200 + number) for number, fd in enumerate(fds)]
    for number, fd in enumerate(high):
        os.dup2(fd, number, inheritable=number < 3)
    os.closerange(_FDS, 256)


def _limit(job: dict[str, Any]) -> None:
    limits, language = job["limits"], job["language"]
    cpu = math.ceil(limits["cpu_s"]) + 1
    values = {
        resource.RLIMIT_CPU: cpu,
        resource.RLIMIT_FSIZE: limits["file_mb"] << 20,
        resource.RLIMIT_NOFILE: limits["open_files"],
        resource.RLIMIT_NPROC: limits["processes"],
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 64 << 10,
    }
    if job["do"] not in ("run", "compile") or language["bounded"]:
        values[resource.RLIMIT_DATA] = limits["memory_mb"] << 20
    if not limits["uid_of_its_own"]:
        del values[resource.RLIMIT_NPROC]  # it would count what the user has beside it
    for which, value in values.items():
        _, hard = resource.getrlimit(which)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))


def _environment(job: dict[str, Any], config: dict[str, Any]) -> dict[str, str]:
    return {
        "PATH": config["path"],
        "HOME": job["cwd"],
        "TMPDIR": job["cwd"],
        "LANG": "C.UTF-8",
        **job["language"].get("environment", {}),
    }


def _do(job: dict[str, Any]) -> NoReturn:
    from . import conversation, python

    do, language = job["do"], job["language"]
    signal.set_wakeup_fd(-1)
    gc.unfreeze()
    if do == "run" and language["run"]:
        _exec(language["run"], job)
    if do == "compile" and language["compile"]:
        _exec(language["compile"], job)
    sys.argv = [os.path.join(job["box"], language.get("file", "judge.py"))]
    sys.path[:] = [path for path in sys.path if path and path != config_path()]
    sys.path.insert(0, job["cwd"])
    threading.stack_size(16 << 20)
    for name in [name for name in sys.modules if name == "rlvr" or name.startswith("rlvr.")]:
        del sys.modules[name]
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    python.fresh_streams()
    if job["compiles"]:
        job["code"] = python.compile_first(3, job["box"], language)
    if do == "compile":
        python.leave(0)
    if do == "run":
        os.closerange(3, 4)
        python.run(python.code_of(job), main)
    conversation.ACTIONS[do](job, language)


def config_path() -> str:
    """The folder that this package was found in."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def _exec(argv: list[str], job: dict[str, Any]) -> NoReturn:
    """Another program in this process: signals as a shell leaves them, and a deep stack."""
    os.closerange(3, 256)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    soft, hard = 128 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]
    resource.setrlimit(resource.RLIMIT_STACK, (soft if hard < 0 else min(soft, hard), hard))
    words = {"box": job["box"], "memory_mb": str(job["limits"]["memory_mb"])}
    filled = [word.format(**words) for word in argv]
    try:
        os.execvp(filled[0], filled)
    except OSError as error:
        os.write(2, f"{filled[0]}: {error.strerror}\n".encode())
        os._exit(127)
