"""`rlvr sandbox doctor`: each limit and each wall is tried for real, by a program that runs against it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .docker import DockerSandbox
from .languages import LANGUAGES
from .types import Limits, MissingLanguage, Outcome, Program, RunResult

_LIMITS = Limits(cpu_s=1.0, memory_mb=128, processes=16, file_mb=4, output_kb=256, disk_mb=16, inodes=256)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was tried, whether it held, and what was seen."""

    tried: str
    holds: bool
    seen: str


@dataclass(frozen=True, slots=True)
class _Trial:
    tried: str
    source: str
    holds: Callable[[RunResult], bool]


def _ends(outcome: Outcome) -> Callable[[RunResult], bool]:
    return lambda run: run.outcome == outcome


def _says(word: bytes) -> Callable[[RunResult], bool]:
    return lambda run: run.stdout.strip() == word


def _refused(action: str) -> str:
    """A program that prints `refused` when an action raises OSError."""
    body = "".join(f"    {line}\n" for line in action.splitlines())
    return f"import os, socket, ctypes\ntry:\n{body}    print('allowed')\nexcept OSError:\n    print('refused')\n"


def _call(number: int, *arguments: int) -> str:
    words = ", ".join(map(str, (number, *arguments)))
    return f"libc = ctypes.CDLL(None)\nif libc.syscall({words}) < 0: raise OSError"


_DAEMON = (
    "import os\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
    "        while True: pass\n    os._exit(0)\n"
)
_TRIALS = (
    _Trial("CPU time, busy loop", "while True: pass", _ends("cpu_limit")),
    _Trial("CPU time of a daemon that left its parent", _DAEMON + "import time; time.sleep(60)", _ends("cpu_limit")),
    _Trial("wall time, sleep", "import time; time.sleep(600)", _ends("wall_limit")),
    _Trial("memory, one process", "x = bytearray(1 << 30)", _ends("memory_limit")),
    _Trial(
        "memory, several processes",
        "import os, time\nfor _ in range(8):\n    if os.fork() == 0:\n        x = b'x' * (60 << 20); time.sleep(60)\n"
        "time.sleep(60)",
        _ends("memory_limit"),
    ),
    _Trial(
        "processes",
        _refused("import time\nfor _ in range(64):\n    if os.fork() == 0: time.sleep(9)"),
        _says(b"refused"),
    ),
    _Trial("output", "while True: print('x' * 1000)", _ends("output_limit")),
    _Trial("size of a file", _refused("open('f', 'wb').write(b'x' * (5 << 20))"), _says(b"refused")),
    _Trial(
        "size of the disk",
        _refused("for n in range(9): open(f'f{n}', 'wb').write(b'x' * (3 << 20))"),
        _says(b"refused"),
    ),
    _Trial("number of files", _refused("for n in range(999): open(f'f{n}', 'wb').close()"), _says(b"refused")),
    _Trial("open files", _refused("kept = [open('/dev/null') for _ in range(999)]"), _says(b"refused")),
    _Trial("network: socket", _refused("socket.create_connection(('169.254.169.254', 80), 1)"), _says(b"refused")),
    _Trial(
        "network: no interface but loopback",
        "print(sorted(__import__('os').listdir('/sys/class/net')))",
        lambda run: run.stdout.strip() in (b"['lo']", b"[]"),
    ),
    _Trial("read-only root", _refused("open('/etc/x', 'w')"), _says(b"refused")),
    _Trial("no way back to root", _refused("os.setuid(0)"), _says(b"refused")),
    _Trial(
        "no capability",
        "print([l.split()[1] for l in open('/proc/self/status') if l.startswith(('CapEff', 'CapPrm'))])",
        lambda run: run.stdout.strip() == str(["0" * 16] * 2).encode(),
    ),
    _Trial("the runner's memory", _refused("open('/proc/1/mem', 'rb')"), _says(b"refused")),
    _Trial("the runner's descriptors", _refused("os.listdir('/proc/1/fd')"), _says(b"refused")),
    _Trial("ptrace", _refused(_call(101, 16, 1, 0, 0)), _says(b"refused")),
    _Trial("process_vm_readv", _refused(_call(310, 1, 0, 0, 0, 0, 0)), _says(b"refused")),
    _Trial("user namespaces", _refused(_call(272, 0x10000000)), _says(b"refused")),
    _Trial("mount", _refused(_call(165, 0, 0, 0, 0, 0)), _says(b"refused")),
    _Trial("shared memory that outlives a process", _refused(_call(29, 0, 4096, 0o1777)), _says(b"refused")),
    _Trial("io_uring", _refused(_call(425, 8, 0)), _says(b"refused")),
    _Trial(
        "killing the runner",
        "import os, signal\ntry: os.kill(1, 9)\nexcept OSError: print('refused')",
        _says(b"refused"),
    ),
    _Trial(
        "no descriptor of the harness",
        "import os\nprint(sorted(map(int, os.listdir('/proc/self/fd')))[:3], len(os.listdir('/proc/self/fd')))",
        _says(b"[0, 1, 2] 4"),
    ),
)


def examine(sandbox: DockerSandbox) -> Iterator[Finding]:
    """Try everything. Raises SandboxUnavailable where there is no engine or no image."""
    with sandbox:
        yield Finding("engine and image", True, f"{sandbox.describe()}")
        for name in LANGUAGES:
            yield _language(sandbox, name)
        for trial in _TRIALS:
            yield _try(sandbox, trial)
        yield _leftovers(sandbox)


def _language(sandbox: DockerSandbox, name: str) -> Finding:
    try:
        with sandbox.open(Program("", name)):
            return Finding(f"language {name}", True, "there")
    except MissingLanguage:
        return Finding(f"language {name}", True, "not in this image")


def _try(sandbox: DockerSandbox, trial: _Trial) -> Finding:
    with sandbox.open(Program(trial.source), _LIMITS) as session:
        run = next(iter(session.run([b""])))
    words = run.stdout.decode("utf-8", "replace").partition("\n")[0][:40].strip() if run.outcome == "ok" else ""
    seen = f"{run.outcome}{', ' + words if words else ''} ({run.cpu_s:.2f} s CPU, {run.wall_s:.2f} s)"
    return Finding(trial.tried, trial.holds(run), seen)


def _leftovers(sandbox: DockerSandbox) -> Finding:
    """Files and processes of one run must not be there in the next."""
    leave = (
        "import os\nopen('/tmp/left', 'w')\nopen('/dev/shm/left', 'w')\n"
        "if os.fork() == 0:\n    os.setsid()\n    while True: pass\n"
    )
    look = "import os\nprint(os.path.exists('/tmp/left'), os.path.exists('/dev/shm/left'))"
    with sandbox.open(Program(leave), _LIMITS) as session:
        next(iter(session.run([b""])))
    with sandbox.open(Program(look), _LIMITS) as session:
        run = next(iter(session.run([b""])))
    clean = run.stdout.strip() == b"False False"
    return Finding("nothing is left for the next run", clean, "no file, no process" if clean else run.stdout.decode())
