"""Every limit is hit for real and holds, and an honest program runs right after."""

import pytest
from rlvr.sandbox import DockerSandbox, Limits, Program
from rlvr.sandbox.doctor import examine

ODD_NAMES = "import os\nfor d in (b'\\xff\\n', b'-rf', b' '): os.mkdir(d); os.symlink('/box', d + b'/l')"
BOMBS = {
    "fork bomb": ("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", {"cpu_limit", "wall_limit"}),
    "detached": (
        "import os, time\nfor _ in range(9):\n    if os.fork() == 0:\n        os.setsid()\n        while True: pass",
        {"ok"},
    ),
    "stopped": ("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", {"wall_limit"}),
    "kill(-1)": ("import os\nos.kill(-1, 9)\nprint(1)", {"ok", "signal", "exit"}),
    "memory": ("x = []\nwhile True: x.append(bytearray(1 << 20))", {"memory_limit"}),
    "shared memory": (
        "import mmap\nx = []\nwhile True:\n    m = mmap.mmap(-1, 1 << 24); m.write(b'x' * (1 << 24)); x.append(m)",
        {"memory_limit"},
    ),
    "output": ("import os\nwhile True: os.write(1, b'x' * 65536)", {"output_limit"}),
    "error output": ("import os\nwhile True: os.write(2, b'x' * 65536)", {"output_limit"}),
    "deep folders": (
        "import os\nwhile True:\n    try:\n        os.mkdir('d', 0o700); os.chdir('d')\n    except OSError: break",
        {"ok"},
    ),
    "forbidden folders": ("import os\nos.makedirs('a/b/c')\nfor d in ('a/b/c', 'a/b', 'a'): os.chmod(d, 0)", {"ok"}),
    "odd names": (ODD_NAMES, {"ok"}),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_and_an_honest_program_after_it(sandbox: DockerSandbox, name: str) -> None:
    source, outcomes = BOMBS[name]
    limits = Limits(cpu_s=1.0, memory_mb=256, output_kb=1024, disk_mb=16, inodes=512)
    with sandbox.open(Program(source), limits) as session:
        (result,) = session.run([b""])
        assert result.outcome in outcomes
    with sandbox.open(
        Program("import os\nprint(sorted(os.listdir('/tmp')) == [os.path.basename(os.getcwd())])"), limits
    ) as session:
        (after,) = session.run([b""])
    assert (after.outcome, after.stdout, after.stderr) == ("ok", b"True\n", b"")


def test_every_point_of_the_doctor_holds(sandbox: DockerSandbox) -> None:
    findings = list(examine(DockerSandbox(workers=1)))
    assert len(findings) > 25
    assert [finding for finding in findings if not finding.holds] == []
