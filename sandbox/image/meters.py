"""What a container has used: the kernel's own counters, which no process can leave, else a look at /proc."""

from __future__ import annotations

import os
import time

_CPU = (
    ("/sys/fs/cgroup/cpu.stat", b"usage_usec", 1e-6),
    ("/sys/fs/cgroup/cpuacct/cpuacct.usage", b"", 1e-9),
    ("/sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", b"", 1e-9),
)
_OOM = (
    ("/sys/fs/cgroup/memory.events", b"oom_kill"),
    ("/sys/fs/cgroup/memory/memory.oom_control", b"oom_kill"),
)
_TICK = 1 / os.sysconf("SC_CLK_TCK")


class Meters:
    """CPU seconds and out-of-memory kills. `kind` is "cgroup", or "proc" where the counters cannot be read."""

    def __init__(self, contained: bool) -> None:
        self._cpu = next((c for c in _CPU if contained and _field(c[0], c[1]) is not None), None)
        self._oom = next((c for c in _OOM if contained and _field(*c) is not None), None)
        self.kind = "cgroup" if self._cpu is not None else "proc"

    def cpu_s(self) -> float | None:
        """CPU seconds of all processes here but this one, None where there is no counter."""
        if self._cpu is None:
            return None
        path, name, unit = self._cpu
        return (_field(path, name) or 0) * unit - time.process_time()

    def oom_kills(self) -> int:
        return (_field(*self._oom) or 0) if self._oom is not None else 0


def _field(path: str, name: bytes) -> int | None:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return None
    if not name:
        return int(data)
    for line in data.splitlines():
        key, _, value = line.partition(b" ")
        if key == name:
            return int(value)
    return None


def processes() -> dict[int, tuple[int, int, float]]:
    """Each process that can be seen: its parent, its session, and the CPU seconds of it and of what it waited for."""
    found: dict[int, tuple[int, int, float]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            found[int(name)] = (int(fields[1]), int(fields[3]), sum(map(int, fields[11:15])) * _TICK)
    return found


def job_processes() -> dict[int, float]:
    """CPU seconds of every process below this one in a session of its own: a job's, never the runner's helpers."""
    seen = processes()
    me = os.getpid()
    ours = seen[me][1]
    family = {me}
    while True:
        more = {pid for pid, (parent, _, _) in seen.items() if parent in family} - family
        if not more:
            return {pid: seen[pid][2] for pid in family if seen[pid][1] != ours}
        family |= more
