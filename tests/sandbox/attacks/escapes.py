"""Programs that reach out of their process: each answers right only when the reach succeeded."""

from .attack import Attack, Box, Result
from .problem import ONE, RIGHT, Style, program

CALLS = """
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
arm = platform.machine() == "aarch64"
def call(number, *args):
    result = libc.syscall(number, *[ctypes.c_long(a) if type(a) is int else a for a in args])
    if result < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
"""


def escape(
    name: str,
    tries: str,
    top: str,
    style: Style = "stdin",
    *,
    box: Box = "plain",
    beats: str = "outside",
    result: Result = "paid",
    unshown: str | None = None,
) -> Attack:
    """An attack on one style; `top` defines `won`, which returns True or raises."""
    programs = {style: program(style, top, f"{RIGHT} if won() else 0")}
    shown = {} if unshown else {style: (beats,)}
    return Attack(name, "escape", tries, programs, shown, result, box, ONE, unshown=unshown)


SIGNALS = [
    escape(
        "kill_everybody",
        "kill(-1, SIGKILL)",
        "import os, time\ndef won():\n    parent = os.getppid(); os.kill(-1, 9); time.sleep(0.2)\n    return os.getppid() != parent",
        result="died",
    ),
    escape(
        "stop_everybody",
        "kill(-1, SIGSTOP)",
        "import glob, os\ndef won():\n    os.kill(-1, 19)  # says yes also where it may signal nobody\n    states = [open(path).read().rpartition(')')[2].split()[0] for path in glob.glob('/proc/[0-9]*/stat')]\n    return 'T' in states",
        result="hung",
    ),
    escape(
        "kill_parent",
        "kill(parent, SIGKILL)",
        "import os\ndef won(): os.kill(os.getppid(), 9); return True",
        "call",
        result="died",
    ),
    escape(
        "stop_parent",
        "kill(parent, SIGSTOP)",
        "import os\ndef won(): os.kill(os.getppid(), 19); return True",
        "mbpp",
        result="hung",
    ),
    escape("stop_self", "raise SIGSTOP", "import os\ndef won(): os.kill(os.getpid(), 19); return True", result="hung"),
    escape(
        "stop_self_in_the_call",
        "raise SIGSTOP while the judge waits",
        "import os\ndef won(): os.kill(os.getpid(), 19); return True",
        "humaneval",
        result="hung",
    ),
    escape(
        "kill_init",
        "SIGKILL and SIGSTOP to process 1",
        "import os\ndef won(): os.kill(1, 9); os.kill(1, 19); return True",
    ),
    escape(
        "kill_group",
        "SIGKILL to the parent's process group",
        "import os, time\ndef won():\n    parent = os.getppid(); os.killpg(os.getpgid(parent), 9); time.sleep(0.2)\n    return os.getppid() != parent",
        result="died",
    ),
    escape(
        "kill_every_number",
        "SIGKILL to every process that can be seen",
        """
import os
def won():
    hit = 0
    for pid in range(2, 3_000):
        if pid != os.getpid():
            try: os.kill(pid, 9); hit += 1
            except OSError: pass
    return hit > 0
""",
        result="died",
    ),
    escape(
        "parent_death_signal",
        "outlives its parent by a session and a prctl, then kills",
        """
import ctypes, os, time
def won():
    parent = os.getppid()
    if not os.fork():
        ctypes.CDLL(None).prctl(1, 0); os.setsid()
        os.kill(parent, 9)
        os._exit(0)
    os.wait(); time.sleep(0.2)
    return os.getppid() != parent
""",
        result="died",
    ),
]

PROCESSES = [
    escape(
        "ptrace_parent",
        "PTRACE_SEIZE of the parent",
        CALLS + "\ndef won(): return call(117 if arm else 101, 0x4206, os.getppid(), 0, 0) == 0",
        box="open",
    ),
    escape(
        "ptrace_init",
        "PTRACE_SEIZE of process 1",
        CALLS + "\ndef won(): return call(117 if arm else 101, 0x4206, 1, 0, 0) == 0",
        "call",
        box="open",
    ),
    escape(
        "parents_descriptors",
        "pidfd_getfd: a descriptor out of the parent",
        CALLS + "\ndef won(): return call(438, call(434, os.getppid(), 0), 1, 0) >= 0",
        box="open",
    ),
    escape(
        "parents_files",
        "opens /proc/PPID/fd and its root",
        "import os\ndef won(): return os.open(f'/proc/{os.getppid()}/fd/0', os.O_RDONLY) and os.listdir(f'/proc/{os.getppid()}/root') != []",
    ),
    escape(
        "inits_environment",
        "reads the environment and descriptors of process 1",
        "import os\ndef won(): return len(open('/proc/1/environ', 'rb').read()) > 0 and os.listdir('/proc/1/fd') != []",
    ),
    escape(
        "writes_parents_memory",
        "opens /proc/PPID/mem for writing",
        "import os\ndef won(): return os.open(f'/proc/{os.getppid()}/mem', os.O_RDWR) > 0",
    ),
    escape(
        "parents_limits",
        "lowers the parent's limits by prlimit",
        "import os, resource\ndef won(): return resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (40, 1024)) is not None",
        box="open",
    ),
    escape(
        "parents_priority",
        "makes the parent nicer",
        "import os\ndef won(): os.setpriority(os.PRIO_PROCESS, os.getppid(), 5); return True",
    ),
    escape(
        "own_priority",
        "takes a higher priority",
        "import os\ndef won(): os.setpriority(os.PRIO_PROCESS, 0, -5); return True",
        box="open",
    ),
    escape(
        "real_time",
        "takes a real-time schedule",
        "import os\ndef won(): os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)); return True",
        unshown="the engine gives a container's control group no real-time runtime",
    ),
    escape(
        "oom_score",
        "asks never to be the one who is killed",
        "def won():\n    with open('/proc/self/oom_score_adj', 'w') as file: file.write('-900')\n    return True",
        unshown="needs CAP_SYS_RESOURCE, which a machine may not have to give",
    ),
    escape(
        "become_root",
        "setuid(0), setgid(0), setgroups",
        "import os\ndef won(): os.setgroups([0]); os.setresgid(0, 0, 0); os.setresuid(0, 0, 0); return os.geteuid() == 0",
    ),
    escape(
        "become_another",
        "changes to another user, out of the sweep's reach",
        "import os\ndef won(): os.setresuid(4242, 4242, 4242); return True",
        "humaneval",
    ),
    escape(
        "raised_limits",
        "raises its own hard limits",
        "import resource as r\ndef won():\n    hard = r.getrlimit(r.RLIMIT_CPU)[1]\n    for kind in (r.RLIMIT_CPU, r.RLIMIT_FSIZE, r.RLIMIT_NOFILE):\n        if r.getrlimit(kind)[1] == r.RLIM_INFINITY: return True\n        r.setrlimit(kind, (1 << 20, 1 << 20))\n    return hard != 0",
    ),
    escape(
        "setuid_copy",
        "a copy of the shell with the set-uid bit, as root",
        "import os, shutil, subprocess\ndef won():\n    shutil.copy('/bin/sh', '/tmp/rootshell')\n    os.chmod('/tmp/rootshell', 0o4755)\n"
        "    os.chown('/tmp/rootshell', 0, 0); os.chmod('/tmp/rootshell', 0o4755)\n    return os.stat('/tmp/rootshell').st_uid == 0 and bool(os.stat('/tmp/rootshell').st_mode & 0o4000)",
    ),
]

KERNEL = [
    escape(
        "mount",
        "mounts a tmpfs",
        "import ctypes, os\ndef won():\n    os.makedirs('/tmp/mounted', exist_ok=True)\n    return ctypes.CDLL(None).mount(b'none', b'/tmp/mounted', b'tmpfs', 0, None) == 0 and ctypes.CDLL(None).umount(b'/tmp/mounted') == 0",
        box="open",
    ),
    escape(
        "remount_root",
        "mounts the root for writing again",
        "import ctypes\ndef won(): return ctypes.CDLL(None).mount(b'none', b'/', None, 32 | 4096, None) == 0",
        box="open",
    ),
    escape(
        "user_namespace",
        "unshare(CLONE_NEWUSER | CLONE_NEWNS): root of its own",
        "import ctypes, os\ndef won():\n    if os.fork(): return os.wait()[1] == 0\n    os._exit(ctypes.CDLL(None).unshare(0x10020000) != 0)",
        "call",
        box="open",
    ),
    escape(
        "clone_user_namespace",
        "clone3 with CLONE_NEWUSER",
        CALLS
        + "\ndef won():\n    args = (ctypes.c_uint64 * 8)(0x10000000, 0, 0, 0, 17, 0, 0, 0)\n    child = call(435, ctypes.byref(args), 64)\n    if child == 0: os._exit(0)\n    return child > 0",
        box="open",
    ),
    escape("chroot", "chroot", "import os\ndef won(): os.chroot('/tmp'); return True"),
    escape(
        "set_namespace",
        "joins the namespaces of process 1",
        "import ctypes, os\ndef won(): return ctypes.CDLL(None).setns(os.open('/proc/1/ns/uts', os.O_RDONLY), 0) == 0",
        box="open",
    ),
    escape(
        "host_name",
        "changes the host name",
        "import socket\ndef won(): socket.sethostname(socket.gethostname()); return True",
        box="open",
    ),
    escape(
        "bpf",
        "creates a BPF map",
        CALLS
        + "\ndef won(): return call(280 if arm else 321, 0, ctypes.byref((ctypes.c_uint32 * 18)(2, 4, 4, 1)), 72) >= 0",
        box="open",
    ),
    escape(
        "perf",
        "perf_event_open",
        CALLS
        + "\ndef won(): return call(241 if arm else 298, ctypes.byref((ctypes.c_uint32 * 28)(1, 112)), 0, -1, -1, 0) >= 0",
        box="open",
    ),
    escape(
        "user_faults",
        "userfaultfd",
        CALLS + "\ndef won(): return call(282 if arm else 323, 1) >= 0",
        "mbpp",
        box="open",
    ),
    escape(
        "io_uring",
        "io_uring_setup",
        CALLS + "\ndef won(): return call(425, 1, ctypes.create_string_buffer(120)) >= 0",
        box="open",
    ),
    escape(
        "keyring",
        "a key in the kernel's keyring",
        CALLS + "\ndef won(): return call(217 if arm else 248, b'user', b'rlvr_attack', b'x', 1, -2) > 0",
        box="open",
    ),
    escape(
        "file_handles",
        "name_to_handle_at, the door of Shocker",
        CALLS
        + "\ndef won(): return call(264 if arm else 303, -100, b'/tmp', ctypes.create_string_buffer(b'\\x80\\0\\0\\0', 140), ctypes.create_string_buffer(8), 0) == 0",
        box="open",
    ),
    escape("fanotify", "fanotify_init", CALLS + "\ndef won(): return call(262 if arm else 300, 0, 0) >= 0", box="open"),
    escape(
        "kernel_log",
        "reads the kernel's log",
        CALLS + "\ndef won(): return call(116 if arm else 103, 10, 0, 0) > 0",
        box="open",
    ),
    escape(
        "personality",
        "switches address randomisation off",
        CALLS
        + "\ndef won(): return call(92 if arm else 135, 0x40000 | call(92 if arm else 135, 0xffffffff)) >= 0 and call(92 if arm else 135, 0xffffffff) & 0x40000 != 0",
        box="open",
    ),
    escape(
        "device_node",
        "makes a device node",
        "import os\ndef won(): os.mknod('/tmp/null', 0o20666, os.makedev(1, 3)); return True",
    ),
    escape(
        "reads_system_control",
        "writes a kernel setting back as it was",
        "def won():\n    with open('/proc/sys/kernel/hostname', 'r+') as file:\n        value = file.read(); file.seek(0); file.write(value)\n    return True",
        box="open",
    ),
    escape(
        "magic_request",
        "opens /proc/sysrq-trigger for writing",
        "import os\ndef won(): return os.open('/proc/sysrq-trigger', os.O_WRONLY) > 0",
        unshown="a kernel may lack it, and where it is there a mistake restarts the machine",
    ),
    escape(
        "write_root",
        "writes to /, /usr, /etc and the interpreter's library",
        "import os\ndef won():\n    for folder in ('/', '/usr', '/usr/bin', '/etc', '/root', os.path.dirname(os.__file__), '/opt', '/var', '/srv'):\n        try: open(folder + '/planted_by_attack', 'w').close(); os.unlink(folder + '/planted_by_attack'); return True\n        except OSError: pass\n    return False",
    ),
    escape(
        "write_interpreter",
        "opens the interpreter and the passwords for writing",
        "import os, sys\ndef won(): return os.open('/etc/passwd', os.O_RDWR) > 0",
    ),
    escape(
        "write_devices",
        "makes a file in /dev",
        "import os\ndef won(): open('/dev/planted', 'w').close(); os.unlink('/dev/planted'); return True",
    ),
    escape(
        "control_group",
        "writes to its control group",
        "import glob, os\ndef won():\n    for path in glob.glob('/sys/fs/cgroup/**/cgroup.procs', recursive=True):\n        if os.open(path, os.O_WRONLY) > 0: return True\n    return False",
        unshown="how control groups are mounted differs between machines, and a container that may write to them may lift its own limits",
    ),
]

NETWORK_UP = """
import fcntl, socket, struct, threading
def up(address, name=b"lo:1"):
    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    pad = struct.pack("16sHH4s8x", name, socket.AF_INET, 0, socket.inet_aton(address))
    fcntl.ioctl(control, 0x8916, pad)
"""
NETWORK = [
    escape(
        "set_address",
        "gives the loopback another address",
        NETWORK_UP + "\ndef won(): up('10.7.7.7'); return True",
        box="open",
    ),
    escape(
        "raw_socket",
        "a raw socket",
        "import socket\ndef won(): return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).fileno() > 0",
    ),
    escape(
        "packet_socket",
        "a packet socket",
        "import socket\ndef won(): return socket.socket(socket.AF_PACKET, socket.SOCK_RAW).fileno() > 0",
        "call",
    ),
    escape(
        "hypervisor_socket",
        "AF_VSOCK, which no network namespace holds",
        "import socket\ndef won(): return socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).fileno() > 0",
        box="open",
    ),
    escape(
        "kernel_audit_socket",
        "AF_NETLINK to the kernel's audit",
        "import socket\ndef won(): return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15).fileno() > 0",
        box="open",
    ),
    escape(
        "connect",
        "connects to the internet by TCP",
        "import socket\ndef won(): return socket.create_connection(('8.8.8.8', 53), timeout=1) is not None",
        unshown="the machine's network stays closed to attacks: `metadata` and `resolve` show the same door",
    ),
    escape(
        "metadata",
        "asks the cloud's metadata address",
        "import urllib.request\ndef won(): return bool(urllib.request.urlopen('http://169.254.169.254:80/latest/', timeout=1).read())",
        beats="outside_with_metadata",
        box="open",
    ),
    escape(
        "resolve",
        "asks a name server",
        "import socket\ndef won():\n    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks:\n        asks.settimeout(1)\n        asks.sendto(bytes(12), ('8.8.8.8', 53))\n        return asks.recv(512) != b''",
        "mbpp",
        beats="outside_with_metadata",
        box="open",
    ),
    escape(
        "docker_socket",
        "asks the engine's socket",
        "import socket\ndef won():\n    for path in ('/var/run/docker.sock', '/run/docker.sock', '/run/containerd/containerd.sock', '/run/podman/podman.sock'):\n        try:\n            with socket.socket(socket.AF_UNIX) as asks:\n                asks.connect(path); asks.sendall(b'GET /_ping HTTP/1.0\\r\\n\\r\\n')\n                return asks.recv(64) != b''\n        except OSError: pass\n    return False",
        beats="outside_with_engine",
        box="plain",
    ),
]

ESCAPES = [*SIGNALS, *PROCESSES, *KERNEL, *NETWORK]
