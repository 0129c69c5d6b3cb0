"""Programs that use more than they may. Each answers right, but only after it has had what it wanted."""

from collections.abc import Mapping
from typing import Any

from .attack import Attack, Result
from .problem import ONE, RIGHT, Question, Style, program

# In the sandbox: cpu 1 s, 128 MB, 16 processes, files of 8 MB, 256 KB of output, 16 MB of disk, 512 inodes, 64 files.


def bomb(
    name: str,
    tries: str,
    top: str,
    style: Style = "stdin",
    *,
    value: str = f"{RIGHT} if won() else 0",
    beats: str = "outside",
    result: Result = "paid",
    question: Question = ONE,
    limits: Mapping[str, Any] | None = None,
) -> Attack:
    """An attack on one style; `top` defines `won`, which returns True or raises."""
    programs = {style: program(style, top, value)}
    return Attack(name, "bomb", tries, programs, {style: (beats,)}, result, question=question, limits=limits or {})


MEMORY = [
    bomb("memory", "400 MB", "def won(): return len(bytearray(b'x') * 400_000_000) > 0"),
    bomb(
        "memory_in_the_call",
        "400 MB after the program was loaded",
        "def won(): return len(bytearray(b'x') * 400_000_000) > 0",
        "call",
    ),
    bomb(
        "memory_before_the_assertion",
        "400 MB in the middle of the assertions",
        "def won(): return len(bytearray(b'x') * 400_000_000) > 0",
        "mbpp",
    ),
    bomb(
        "memory_of_children",
        "8 children with 60 MB each",
        """
import os, time
def won():
    read, write = os.pipe()
    for _ in range(8):
        if not os.fork():
            held = bytearray(b"x") * 60_000_000
            os.write(write, b"x")
            time.sleep(1.5)
            os._exit(len(held) == 0)
    os.close(write)
    return sum(len(os.read(read, 1)) for _ in range(8)) == 8
""",
        "humaneval",
    ),
    bomb(
        "zip",
        "400 KB that inflate to 400 MB",
        """
import zlib
def won():
    pack = zlib.compressobj(9)
    packed = b"".join([pack.compress(bytes(1_000_000)) for _ in range(400)] + [pack.flush()])
    return len(zlib.decompress(packed)) == 400_000_000
""",
    ),
    bomb(
        "shared_memory",
        "200 MB of shared anonymous memory",
        """
import mmap
def won():
    shared = mmap.mmap(-1, 200_000_000)
    for page in range(0, 200_000_000, 4096): shared[page] = 1
    return True
""",
    ),
    bomb(
        "memory_file",
        "200 MB in a memfd, which is no file's size and nobody's heap",
        """
import os
def won():
    held = os.memfd_create("held")
    for _ in range(200): os.write(held, b"x" * 1_000_000)
    return os.fstat(held).st_size == 200_000_000
""",
    ),
]

DISK = [
    bomb(
        "disk",
        "64 MB in files of 4 MB",
        """
import glob, os
def won():
    for folder in ("/tmp", ".", "/dev/shm"):
        try:
            for number in range(16):
                with open(f"{folder}/disk_bomb_{number}", "wb") as file: file.write(b"x" * 4_000_000)
            return True
        except OSError: pass
    return False
""",
    ),
    bomb(
        "big_file",
        "one file of 14 MB",
        """
def won():
    with open("/tmp/big_file", "wb") as file: return file.write(b"x" * 14_000_000) == 14_000_000
""",
    ),
    bomb(
        "sparse_file",
        "a file that claims 1 TB",
        """
import os
def won():
    with open("/tmp/sparse", "wb") as file: file.truncate(1 << 40)
    return os.stat("/tmp/sparse").st_size == 1 << 40
""",
    ),
    bomb(
        "inodes",
        "3,000 empty files",
        """
def won():
    for number in range(3_000): open(f"/tmp/inode_{number}", "w").close()
    return True
""",
        "call",
    ),
    bomb(
        "links_and_folders",
        "3,000 folders and symbolic links",
        """
import os
def won():
    for number in range(1_500):
        os.mkdir(f"/tmp/folder_{number}")
        os.symlink("nowhere", f"/tmp/link_{number}")
    return True
""",
    ),
    bomb(
        "open_files",
        "500 open files",
        """
import os
def won(): return len([os.open("/dev/null", os.O_RDONLY) for _ in range(500)]) == 500
""",
    ),
    bomb(
        "pipe_buffers",
        "400 pipes, each with 64 KB that nobody reads",
        """
import os
def won():
    for _ in range(400):
        read, write = os.pipe()
        os.write(write, b"x" * 65_536)
    return True
""",
    ),
]

PROCESSES = [
    bomb(
        "forks",
        "100 children alive together",
        """
import os, time
def won():
    for _ in range(100):
        if not os.fork():
            time.sleep(1.5)
            os._exit(0)
    return True
""",
    ),
    bomb(
        "forks_that_fork",
        "doubles itself seven times",
        """
import os, time
def won():
    read, write = os.pipe()
    for _ in range(7): os.fork()
    os.write(write, b"x")
    if os.getpid() != leader: time.sleep(1.5); os._exit(0)
    os.close(write)
    return sum(len(os.read(read, 1)) for _ in range(128)) == 128
leader = os.getpid()
""",
        "call",
    ),
    bomb(
        "threads",
        "200 threads",
        """
import threading, time
def won():
    for _ in range(200): threading.Thread(target=time.sleep, args=(1.5,), daemon=True).start()
    return threading.active_count() > 200
""",
        "humaneval",
    ),
]

TIME = [
    bomb(
        "cpu",
        "2.5 seconds of processor time",
        """
import time
def won():
    while time.process_time() < 2.5: pass
    return True
""",
        limits={"wall_factor": 6.0},
    ),
    bomb(
        "cpu_deaf_to_signals",
        "the same with SIGXCPU and SIGTERM ignored",
        """
import signal, time
def won():
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}: signal.signal(number, signal.SIG_IGN)
    while time.process_time() < 2.5: pass
    return True
""",
        "call",
        limits={"wall_factor": 6.0},
    ),
    bomb(
        "cpu_of_children",
        "4 children with 0.7 seconds each",
        """
import os, time
def won():
    for _ in range(4):
        child = os.fork()
        if not child:
            while time.process_time() < 0.7: pass
            os._exit(0)
        if os.waitpid(child, 0)[1]: return False
    return True
""",
        limits={"wall_factor": 8.0},
    ),
    bomb(
        "cpu_of_orphans",
        "the same in a child that no parent waits for",
        """
import os, time
def won():
    read, write = os.pipe()
    for _ in range(4):
        if not os.fork():
            if not os.fork():
                os.setsid()
                while time.process_time() < 0.7: pass
                os.write(write, b"x")
            os._exit(0)
        os.wait()
    os.close(write)
    return sum(len(os.read(read, 1)) for _ in range(4)) == 4
""",
        "mbpp",
        limits={"wall_factor": 8.0},
    ),
    bomb(
        "big_integer",
        "the digits of 7 ** 600,000",
        "import sys\nsys.set_int_max_str_digits(0)\ndef won(): return len(str(7 ** 600_000)) > 0",
    ),
    bomb(
        "regular_expression",
        "a pattern that backtracks for ever",
        "import re\ndef won(): return re.match('(a|a?)+$', 'a' * 24 + 'b') is None",
    ),
    bomb(
        "sleep",
        "sleeps past the backstop",
        "import time\ndef won(): return not time.sleep(2.5)",
        limits={"wall_factor": 1.0},
    ),
    bomb(
        "sleep_in_the_call",
        "hangs only in the conversation with the judge",
        "import time\ndef won(): return not time.sleep(2.5)",
        "mbpp",
        limits={"wall_factor": 1.0},
    ),
    bomb(
        "never_loads",
        "sleeps before f is defined",
        "import time\ntime.sleep(2.5)\ndef won(): return True",
        "call",
        limits={"wall_factor": 1.0},
    ),
    bomb(
        "recursion",
        "recursion without a bound: the process dies of it",
        "import sys\nsys.setrecursionlimit(10 ** 9)\ndef dig(n): return dig(n + 1) + dig(n)\ndef won(): return dig(0)",
        "call",
        beats="in_process",
        result="bloated",
    ),
    bomb(
        "recursion_in_c",
        "recursion in C: repr of a list 100,000 deep",
        "import sys\nsys.setrecursionlimit(10 ** 9)\ndef won():\n    deep = []\n    for _ in range(10 ** 6): deep = [deep]\n    return repr(deep)",
        "mbpp",
        beats="in_process",
        result="died",
    ),
]


def _output(name: str, tries: str, style: Style, write: str) -> Attack:
    lines = f"{name} = None\n" + write
    source = (
        program(style, "import os, sys", RIGHT) + lines
        if style in ("stdin", "checker")
        else program(style, f"import os, sys\n{lines}", RIGHT)
    )
    return Attack(name, "bomb", tries, {style: source}, {style: ("outside",)}, question=ONE)


OUTPUT = [
    _output(
        "output",
        "8 MB of white space after the right answer",
        "stdin",
        "for _ in range(128): sys.stdout.write(' ' * 65_535 + '\\n')",
    ),
    _output(
        "error_output",
        "8 MB on standard error",
        "checker",
        "for _ in range(128): sys.stderr.write(' ' * 65_535 + '\\n')",
    ),
    _output(
        "both_outputs", "160 KB on each", "stdin", "sys.stderr.write(' ' * 160_000)\nsys.stdout.write(' ' * 160_000)"
    ),
    _output(
        "output_of_a_function", "8 MB of standard error while it is loaded", "call", "sys.stderr.write('x' * 8_000_000)"
    ),
    _output(
        "output_before_assertions",
        "8 MB of standard error before the assertions",
        "humaneval",
        "os.write(2, b'x' * 8_000_000)",
    ),
    bomb(
        "output_without_end",
        "output until somebody ends it",
        "import os\ntry:\n    while True: os.write(1, b'x' * 65_536)\nexcept OSError: pass\ndef won(): return True",
        result="bloated",
    ),
    bomb("huge_value", "a string of 100 MB", "", "call", value="'x' * 100_000_000", result="bloated"),
    bomb(
        "error_pipe_first",
        "fills standard error before it prints",
        "import sys\nsys.stderr.write('x' * 1_000_000)\nsys.stderr.flush()\ndef won(): return False",
        beats="pipes_in_turn",
        result="hung",
    ),
    bomb(
        "held_output",
        "a daemon keeps standard output open",
        "import os, time\nif not os.fork():\n    os.setsid()\n    time.sleep(30)\n    os._exit(0)\ndef won(): return False",
        result="hung",
    ),
]
BOMBS = [*MEMORY, *DISK, *PROCESSES, *TIME, *OUTPUT]
