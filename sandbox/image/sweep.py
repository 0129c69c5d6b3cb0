"""Leave nothing of a job: its processes, its files. And the few file operations of the runner."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import time
from contextlib import contextmanager, suppress
from typing import Callable, Generator  # noqa: UP035 - Python 3.8

from .meters import job_processes

_PATIENCE_S = 20.0


class StillThere(RuntimeError):
    """A process that does not die, or a file that does not go: the container must be thrown away."""


@contextmanager
def acting_as(uid: int) -> Generator[None, None, None]:
    """Take on a job's uid, with the right to come back. Process 1 takes no signal from it meanwhile."""
    os.setresuid(uid, uid, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def kill_uid(uid: int, helpers: set[int], reap: Callable[[], None]) -> None:
    """Kill every process of `uid`. One kill(-1) takes them all at once, so that nothing can fork out of its way."""
    end = time.monotonic() + _PATIENCE_S
    pause = 0.0001
    while _any_of(uid, helpers):
        with acting_as(uid):
            os.kill(-1, signal.SIGKILL)
        reap()
        if _any_of(uid, helpers):
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
            reap()
        if time.monotonic() > end:
            raise StillThere(f"a process of uid {uid} does not die")


def _any_of(uid: int, helpers: set[int]) -> bool:
    wanted = str(uid).encode()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in helpers:
            try:
                with open(f"/proc/{name}/status", "rb") as file:
                    status = file.read()
            except OSError:
                continue  # it has just ended
            start = status.index(b"\nUid:") + 5
            if wanted in status[start : status.index(b"\n", start)].split():
                return True
    return False


def kill_job(reap: Callable[[], None]) -> None:
    """Where uids cannot be changed: kill every process below this one that is no helper of the runner's."""
    end = time.monotonic() + _PATIENCE_S
    while True:
        victims = job_processes()
        if not victims:
            return
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.0005)
        reap()
        if time.monotonic() > end:
            raise StillThere("a process does not die")


def remove_files(uid: int, folders: list[str]) -> None:
    """Remove what `uid` left in folders that everyone may write to. No process of `uid` lives any more."""
    names = [os.path.join(folder, name) for folder in folders for name in os.listdir(folder)]
    if names:
        with acting_as(uid):
            for name in names:
                _remove(name)
    for folder in folders:
        if os.listdir(folder):
            raise StillThere(f"files of uid {uid} do not go")


def empty(folder: str) -> None:
    """Remove what is in a folder of our own."""
    for name in os.listdir(folder):
        _remove(os.path.join(folder, name))


def _remove(path: str) -> None:
    """However deep it is: a folder that is not empty gives its contents to the folder above, then goes."""
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        os.unlink(path)
        return
    above = os.path.dirname(path)
    waiting = [path]
    count = 0
    while waiting:
        folder = waiting.pop()
        try:
            os.rmdir(folder)
            continue
        except OSError:
            os.chmod(folder, 0o700)
        for name in os.listdir(folder):
            inner = os.path.join(folder, name)
            if stat.S_ISDIR(os.lstat(inner).st_mode):
                os.chmod(inner, 0o700)  # a folder that one may not write to cannot be moved
                count += 1
                flat = os.path.join(above, f"{os.path.basename(path)}~{count}")
                os.rename(inner, flat)
                waiting.append(flat)
            else:
                os.unlink(inner)
        os.rmdir(folder)


def write(path: str, data: bytes) -> None:
    """A file of the runner's own: everybody may read it."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    with os.fdopen(fd, "wb") as file:
        file.write(data)


def keep(uid: int | None, made: str, path: str, limit: int) -> None:
    """Copy what a compiler made, so that it belongs to the runner and no run can change it for the next.

    Raises FileNotFoundError, or OSError where it is no plain file.
    """
    with acting_as(uid) if uid is not None else suppress(OSError):
        source = os.open(made, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(source, "rb") as file:
        if not stat.S_ISREG(os.fstat(source).st_mode):
            raise OSError("the compiler made no plain file")
        write(path, file.read(limit))
        os.chmod(path, 0o755)


def which(needs: list[str], path: str | None = None) -> str | None:
    """The first program of `needs` that is not here, None when all are."""
    return next((name for name in needs if shutil.which(name, path=path) is None), None)
