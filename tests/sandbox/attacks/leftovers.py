"""State left for the next test: each answers the first test, and the second only where it finds what the first left."""

from .attack import Attack, Box
from .problem import RIGHT, TWO, Style, program

# The first test is answered and leaves; found() in the second is what must not happen.
TURNS = """
def turn(a, b):
    if (a, b) == (3, 4):
        leave()
        return True
    return found()
"""


def leftover(
    name: str, tries: str, top: str, style: Style = "stdin", *, beats: str = "outside", box: Box = "plain"
) -> Attack:
    """An attack on one style; `top` defines `leave`, and `found`, which returns True or raises."""
    programs = {style: program(style, top + TURNS, f"{RIGHT} if turn(a, b) else 0")}
    return Attack(name, "leftover", tries, programs, {style: (beats,)}, box=box, question=TWO)


DAEMON = """
import os, socket, time
def daemon(body):
    if os.fork():
        os.wait()
        return
    os.setsid()
    if os.fork(): os._exit(0)
    for descriptor in range(0, 64):
        try: os.close(descriptor)
        except OSError: pass
    try: body()
    finally: os._exit(0)
def seen(mark):
    for pid in os.listdir("/proc"):
        if pid.isdigit() and int(pid) != os.getpid():
            try:
                if mark in open(f"/proc/{pid}/comm", "rb").read(): return True
            except OSError: pass
    return False
def named(mark):
    with open("/proc/self/comm", "wb") as file: file.write(mark)
"""

IPC = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"

FILES = [
    leftover(
        "file_everywhere",
        "a file in every folder that takes one",
        """
import os
def leave():
    for folder, _, _ in os.walk("/"):
        if not folder.startswith(("/proc", "/sys")):
            try: open(folder + "/left_by_attack", "w").close()
            except OSError: pass
def found():
    return any("left_by_attack" in files for folder, _, files in os.walk("/") if not folder.startswith(("/proc", "/sys")))
""",
        "call",
    ),
    leftover(
        "file_in_tmp",
        "a file in /tmp",
        "import os\ndef leave(): open('/tmp/left_a', 'w').close()\ndef found(): return os.path.exists('/tmp/left_a')",
    ),
    leftover(
        "file_in_shm",
        "POSIX shared memory",
        "import os\ndef leave(): open('/dev/shm/left_b', 'w').close()\ndef found(): return os.path.exists('/dev/shm/left_b')",
        "mbpp",
    ),
    leftover(
        "file_beside",
        "a file beside the program and in the working folder",
        "import os, sys\nplaces = ['left_c', os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), 'left_c')]\n"
        "def leave():\n    for place in places:\n        try: open(place, 'w').close()\n        except OSError: pass\ndef found(): return any(map(os.path.exists, places))",
    ),
    leftover(
        "file_at_home",
        "a file in $HOME and $TMPDIR",
        "import os, tempfile\nplaces = [os.path.expanduser('~/left_d'), tempfile.gettempdir() + '/left_d']\ndef leave():\n    for place in places: open(place, 'w').close()\ndef found(): return any(map(os.path.exists, places))",
        "call",
    ),
    leftover(
        "hidden_folder",
        "a folder that nobody may read, and names that are no text",
        """
import os
def leave():
    os.makedirs(b"/tmp/\\xff\\n.left/inner")
    open(b"/tmp/\\xff\\n.left/inner/\\xfe", "w").close()
    os.chmod(b"/tmp/\\xff\\n.left/inner", 0)
    os.chmod(b"/tmp/\\xff\\n.left", 0)
def found(): return os.path.isdir(b"/tmp/\\xff\\n.left")
""",
    ),
    leftover(
        "deep_folders",
        "folders 300 deep, longer than a path may be",
        """
import os
def leave():
    os.chdir("/tmp")
    for _ in range(300):
        os.mkdir("deep" * 8)
        os.chdir("deep" * 8)
def found(): return os.path.isdir("/tmp/" + "deep" * 8)
""",
        "call",
    ),
    leftover(
        "mode_of_tmp",
        "nobody may write to /tmp any more",
        "import os\ndef leave():\n    try: os.chmod('/tmp', 0o555)\n    except OSError: pass\ndef found(): return os.stat('/tmp').st_mode & 0o777 == 0o555",
    ),
    leftover(
        "next_folder",
        "folders of the names that the next test may be given",
        """
import glob, os
def leave():
    for place in (os.getcwd(), "/tmp"):
        digits = "".join(filter(str.isdigit, os.path.basename(place))) or "0"
        for number in range(int(digits), int(digits) + 20):
            try: os.makedirs(os.path.join(os.path.dirname(place), os.path.basename(place).replace(digits, str(number)) + "", "left_e"))
            except OSError: pass
    os.makedirs("/tmp/left_e", exist_ok=True)
def found(): return os.path.isdir("left_e") or os.path.isdir("/tmp/left_e")
""",
        "mbpp",
    ),
    leftover(
        "links",
        "a symbolic link to the harness's files and a hard link to the program",
        """
import os, sys
def leave():
    os.symlink("/proc/1/root/etc/passwd", "/tmp/left_link")
    for path in (sys.argv[0], sys.executable):
        try: os.link(path, "/tmp/left_hard")
        except OSError: pass
def found(): return os.path.islink("/tmp/left_link") or os.path.exists("/tmp/left_hard")
""",
    ),
    leftover(
        "fifo",
        "a FIFO and a socket where somebody may read",
        "import os, socket\ndef leave():\n    os.mkfifo('/tmp/left_fifo')\n    socket.socket(socket.AF_UNIX).bind('/tmp/left_socket')\ndef found(): return os.path.exists('/tmp/left_fifo')",
        "call",
    ),
]

PLANTED = [
    leftover(
        "planted_module",
        "json.py beside the program answers for the judge",
        "import os, sys\ndef leave():\n"
        "    for place in (os.path.dirname(os.path.abspath(sys.argv[0])), os.getcwd(), '/tmp'):\n"
        "        try:\n            with open(place + '/json.py', 'w') as file: file.write('import os\\ndef load(file): os._exit(0)\\nplanted = True\\n')\n"
        "        except OSError: pass\ndef found(): return hasattr(__import__('json'), 'planted')",
    ),
    leftover(
        "planted_usercustomize",
        "usercustomize and a .pth file in the user's site folder",
        """
import os, site, sys
def leave():
    for folder in {site.getusersitepackages(), os.path.expanduser("~/.local/lib/python3.11/site-packages")}:
        os.makedirs(folder, exist_ok=True)
        for name in ("usercustomize", "sitecustomize"):
            with open(f"{folder}/{name}.py", "w") as file: file.write("import sys; sys.planted = True")
        with open(f"{folder}/planted.pth", "w") as file: file.write("import sys; sys.planted = True\\n")
def found(): return hasattr(sys, "planted")
""",
    ),
    leftover(
        "planted_conftest",
        "a conftest.py that makes every test pass",
        "import os\ndef leave():\n    for folder in ('.', '/tmp', '/scratch', '/'):\n        try:\n"
        "            with open(folder + '/conftest.py', 'w') as file: file.write('def pytest_sessionfinish(session):\\n    session.exitstatus = 0\\n'\n"
        "                'def pytest_pyfunc_call(pyfuncitem): return True\\n')\n        except OSError: pass\ndef found(): return os.path.exists('/tmp/conftest.py')",
        "mbpp",
        beats="pytest",
    ),
    leftover(
        "planted_bytecode",
        "a __pycache__ for the standard library and for the program",
        """
import os, sys
def leave():
    for place in (os.path.dirname(os.path.abspath(sys.argv[0])), os.getcwd(), "/tmp", os.path.dirname(os.__file__)):
        try:
            os.makedirs(place + "/__pycache__", exist_ok=True)
            with open(place + "/__pycache__/planted.pyc", "w") as file: file.write("x")
        except OSError: pass
def found():
    return any(os.path.exists(place + "/__pycache__/planted.pyc") for place in
               (os.path.dirname(os.path.abspath(sys.argv[0])), os.getcwd(), "/tmp", os.path.dirname(os.__file__)))
""",
        "call",
    ),
]

PROCESSES = [
    leftover(
        "daemon",
        "a daemon: two forks and a session of its own",
        DAEMON
        + "\ndef leave(): daemon(lambda: (named(b'daemon_a'), time.sleep(8))); time.sleep(0.1)\ndef found(): return seen(b'daemon_a')",
    ),
    leftover(
        "deaf_daemon",
        "a daemon deaf to every signal",
        DAEMON
        + "\nimport signal\ndef deaf():\n    named(b'daemon_b')\n    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}: signal.signal(number, signal.SIG_IGN)\n    time.sleep(8)\n"
        "def leave(): daemon(deaf); time.sleep(0.1)\ndef found(): return seen(b'daemon_b')",
        "call",
    ),
    leftover(
        "stopped_daemon",
        "a daemon that stopped itself",
        DAEMON
        + "\ndef leave(): daemon(lambda: (named(b'daemon_c'), os.kill(os.getpid(), 19), time.sleep(8))); time.sleep(0.1)\ndef found(): return seen(b'daemon_c')",
        "mbpp",
    ),
    leftover(
        "fleeing_daemon",
        "a daemon that forks and ends again and again, so that no list of processes holds it",
        DAEMON
        + """
def flee():
    end = time.monotonic() + 4
    named(b"daemon_d")
    while time.monotonic() < end:
        if os.fork(): os._exit(0)
def leave(): daemon(flee); time.sleep(0.1)
def found(): return any(seen(b"daemon_d") for _ in range(200))
""",
        "call",
    ),
    leftover(
        "many_daemons",
        "eight daemons",
        DAEMON
        + "\ndef leave():\n    for _ in range(8): daemon(lambda: (named(b'daemon_e'), time.sleep(8)))\n    time.sleep(0.1)\ndef found(): return seen(b'daemon_e')",
        "call",
    ),
    leftover(
        "traced_daemon",
        "two processes, one of which traces the other",
        DAEMON
        + """
import ctypes
def traced():
    named(b"daemon_f")
    if not os.fork():
        ctypes.CDLL(None).ptrace(0, 0, 0, 0)
        os.kill(os.getpid(), 19)
        time.sleep(8)
    time.sleep(8)
def leave(): daemon(traced); time.sleep(0.1)
def found(): return seen(b"daemon_f")
""",
    ),
    leftover(
        "zombies",
        "children that nobody waits for, below a daemon",
        DAEMON
        + "\ndef zombies():\n    named(b'daemon_g')\n    for _ in range(5):\n        if not os.fork(): os._exit(0)\n    time.sleep(8)\ndef leave(): daemon(zombies); time.sleep(0.1)\ndef found(): return seen(b'daemon_g')",
    ),
    leftover(
        "abstract_socket",
        "a daemon listens on an abstract socket",
        DAEMON
        + """
def listen():
    listener = socket.socket(socket.AF_UNIX); listener.bind("\\0left_by_attack"); listener.listen()
    time.sleep(8)
def leave(): daemon(listen); time.sleep(0.1)
def found(): socket.socket(socket.AF_UNIX).connect("\\0left_by_attack"); return True
""",
        "call",
    ),
    leftover(
        "loopback_listener",
        "a daemon listens on the loopback",
        DAEMON
        + """
def listen():
    listener = socket.create_server(("127.0.0.1", 47114)); time.sleep(8)
def leave(): daemon(listen); time.sleep(0.1)
def found(): socket.create_connection(("127.0.0.1", 47114), timeout=1); return True
""",
        "mbpp",
    ),
    leftover(
        "open_directory",
        "a daemon that holds the folder, and writes in it again and again",
        DAEMON
        + """
def write():
    named(b"daemon_h")
    end = time.monotonic() + 4
    while time.monotonic() < end:
        for folder in (".", "/tmp"):
            try: open(f"{folder}/again_{time.monotonic()}", "w").close()
            except OSError: pass
        time.sleep(0.0005)
def leave(): daemon(write); time.sleep(0.1)
def found(): return seen(b"daemon_h") or any(name.startswith("again_") for name in os.listdir("/tmp"))
""",
    ),
]

KERNEL = [
    leftover(
        "sysv_memory",
        "a System V shared memory segment",
        IPC
        + "def leave(): libc.shmget(0x714001, 4096, 0o1666)\ndef found(): return libc.shmget(0x714001, 4096, 0o666) >= 0",
    ),
    leftover(
        "sysv_semaphore",
        "a System V semaphore",
        IPC + "def leave(): libc.semget(0x714002, 1, 0o1666)\ndef found(): return libc.semget(0x714002, 1, 0o666) >= 0",
        "call",
    ),
    leftover(
        "sysv_queue",
        "a System V message queue",
        IPC + "def leave(): libc.msgget(0x714003, 0o1666)\ndef found(): return libc.msgget(0x714003, 0o666) >= 0",
        "mbpp",
    ),
    leftover(
        "posix_queue",
        "a POSIX message queue",
        IPC
        + "def leave(): libc.mq_open(b'/left_queue', 0o102, 0o666, None)\ndef found(): return libc.mq_open(b'/left_queue', 2) >= 0",
        "call",
    ),
    leftover(
        "posix_semaphore",
        "a POSIX semaphore",
        IPC
        + "libc.sem_open.restype = ctypes.c_void_p\ndef leave(): libc.sem_open(b'/left_sem', 0o100, 0o666, 1)\ndef found(): return bool(libc.sem_open(b'/left_sem', 0))",
    ),
    leftover(
        "user_key",
        "a key in the user's keyring",
        IPC + "import platform\nadd, control = (217, 219) if platform.machine() == 'aarch64' else (248, 250)\n"
        "def leave(): libc.syscall(add, b'user', b'left_key', b'x', ctypes.c_long(1), ctypes.c_long(-4))\n"
        "def found():\n    key = libc.syscall(control, ctypes.c_long(10), ctypes.c_long(-4), b'user', b'left_key', ctypes.c_long(0))\n"
        "    libc.syscall(control, ctypes.c_long(9), ctypes.c_long(key), ctypes.c_long(-4))\n    return key > 0",
        box="open",
    ),
]

INTERPRETER = [
    leftover(
        "patched_interpreter",
        "builtins, modules and the environment of a warm interpreter",
        "import builtins, os, sys\ndef leave():\n    builtins.left = sys.left = os.left = True\n    os.environ['LEFT'] = '1'\n    os.umask(0o777)\n    sys.path.insert(0, '/tmp')\n    sys.setrecursionlimit(60 + len(__import__('inspect').stack()))\n"
        "def found(): return hasattr(builtins, 'left') or hasattr(sys, 'left') or 'LEFT' in os.environ",
        style,
        beats="in_process",
    )
    for style in ("stdin", "call", "mbpp")
]
LEFTOVERS = [*FILES, *PLANTED, *PROCESSES, *KERNEL]
LEFTOVERS.append(
    Attack(
        "patched_interpreter",
        "leftover",
        "builtins, modules and the environment of a warm interpreter",
        {style: program_ for each in INTERPRETER for style, program_ in each.programs.items()},
        {style: ("in_process",) for each in INTERPRETER for style in each.programs},
    )
)
