"""Containers on one Docker engine: how they are shut off from everything, and how none is left behind."""

import json
import os
import socket
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from .images import LABEL, default_tag, runner_hash, seccomp_profile
from .session import CPUS
from .types import Limits, SandboxUnavailable
from .worker import Worker, WorkerDied

OWNER = "rlvr.sandbox.owner"
_RUNNER_MB = 64
_SHM_MB = 16
_COMPILER_PROCESSES = 128
_BOX_MB = 128
_ENDING_S = 5.0


class Engine:
    """One Docker engine and the containers that this process has there."""

    def __init__(self, host: str | None, image: str | None, runtime: str | None) -> None:
        self.host, self.runtime = host, runtime
        self._links: set[ContainerLink] = set()
        self._made: set[str] = set()
        self._lock = threading.Lock()
        self.client = connect(host)
        self.where = str(self.client.api.base_url)
        self.image = image or default_tag()
        with ExitStack() as stack:
            stack.callback(self.client.close)
            self._require_image()
            sweep(self.client)
            stack.pop_all()  # it is kept

    @property
    def load(self) -> int:
        """Containers there that are ours."""
        return len(self._links)

    def start(self, limits: Limits) -> Worker:
        """A new container and the worker in it. Raises SandboxUnavailable."""
        link = None
        try:
            link = ContainerLink(self, limits)
            with self._lock:
                self._links.add(link)
                self._made.add(link.id)
            return Worker(link, limits)
        except WorkerDied as death:
            raise SandboxUnavailable(f"the sandbox's container does not start on {self.where}: {death}") from None
        except _engine_errors() as error:
            if link is not None:
                link.close()
            raise SandboxUnavailable(f"the engine at {self.where} starts no container: {error}") from error

    def gone(self, link: "ContainerLink") -> None:
        with self._lock:
            self._links.discard(link)

    def close(self) -> None:
        """Remove what a lost connection may have left."""
        with suppress(*_engine_errors()):
            self._wait_until_gone()
        self.client.close()

    def _wait_until_gone(self) -> None:
        """Containers end by themselves when their stream does; what has not after a while is removed."""
        end = time.monotonic() + _ENDING_S
        while left := self._left():
            if time.monotonic() > end:
                for container in left:
                    with suppress(*_engine_errors()):  # it may be on its way out
                        self.client.api.remove_container(container, force=True, v=True)
                return
            time.sleep(0.05)

    def _left(self) -> set[str]:
        """Containers that this engine started, and that it does not use any more."""
        found = {each["Id"] for each in self.client.api.containers(all=True, filters={"label": OWNER})}
        return found & (self._made - {link.id for link in self._links})

    def _require_image(self) -> None:
        import docker.errors

        advice = "build it with `rlvr sandbox build`"
        try:
            labels = self.client.images.get(self.image).labels
        except docker.errors.ImageNotFound:
            raise SandboxUnavailable(f"the engine at {self.where} has no image {self.image}: {advice}") from None
        except _engine_errors() as error:
            raise SandboxUnavailable(f"the engine at {self.where} does not answer: {error}") from error
        if labels.get(LABEL) != runner_hash():
            raise SandboxUnavailable(
                f"the image {self.image} is of another version of rlvr: {advice} --tag {self.image}"
            )


class ContainerLink:
    """A container, and the stream to its process 1: its end ends the container, which the engine then removes."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self.where = engine.where
        self._words = bytearray()
        self._frame = bytearray()
        self._left = 0
        self._stream = 0
        self._memory_mb = _memory_mb(limits)
        self._since = int(time.time()) - 2
        self._closed = False
        api = engine.client.api
        made = api.create_container(
            engine.image,
            command=["python3", "-B", "-m", "rlvr.sandbox.image.runner", json.dumps(_config())],
            detach=False,
            stdin_open=True,
            tty=False,
            network_disabled=True,
            working_dir="/",
            user="0:0",
            hostname="sandbox",
            environment={"PYTHONPATH": "/opt/rlvr-sandbox", "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"},
            labels={OWNER: json.dumps(owner())},
            host_config=_host_config(api, limits, engine.runtime),
        )
        self.id: str = made["Id"]
        self._file = api.attach_socket(self.id, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        self._socket = getattr(self._file, "_sock", self._file)
        api.start(self.id)

    def send(self, data: bytes) -> None:
        self._socket.settimeout(None)
        self._socket.sendall(data)

    def receive(self, timeout_s: float) -> bytes:
        """What process 1 wrote to its standard output; what it wrote to standard error is kept for an epitaph."""
        while True:
            self._socket.settimeout(timeout_s)
            data = self._socket.recv(1 << 18)
            if not data:
                return b""
            if out := self._split(data):
                return out

    def _split(self, data: bytes) -> bytes:
        """Undo the engine's multiplexing: 8 bytes (stream, 0, 0, 0, length) before each piece."""
        out: list[bytes] = []
        view = memoryview(data)
        while view:
            if not self._left:
                need = 8 - len(self._frame)
                self._frame += view[:need]
                view = view[need:]
                if len(self._frame) < 8:
                    break
                self._stream, self._left = self._frame[0], int.from_bytes(self._frame[4:], "big")
                self._frame.clear()
                continue
            piece = view[: self._left]
            self._left -= len(piece)
            view = view[len(piece) :]
            if self._stream == 1:
                out.append(bytes(piece))
            else:
                self._words += piece
                del self._words[:-4096]
        return b"".join(out)

    def fit(self, limits: Limits) -> None:
        """Change the memory limit of a running container. Raises SandboxUnavailable."""
        if self._memory_mb == _memory_mb(limits):
            return
        self._memory_mb = _memory_mb(limits)
        size = f"{self._memory_mb}m"
        try:
            self._engine.client.api.update_container(self.id, mem_limit=size, memswap_limit=size)
        except _engine_errors() as error:
            raise SandboxUnavailable(f"the engine at {self.where} changes no limit: {error}") from error

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._socket.close()
        self._engine.gone(self)

    def drop(self) -> None:
        """In a forked copy: the container is the parent's; only its stream is closed here."""
        self._closed = True
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._socket.close()

    def cause_of_death(self) -> tuple[bool, str]:
        """Raises SandboxUnavailable when the engine does not answer either."""
        try:
            events = self._engine.client.api.events(
                since=self._since,
                until=int(time.time()) + 1,
                filters={"container": self.id, "type": "container"},
                decode=True,
            )
            happened = [str(event.get("status")) for event in events]
        except _engine_errors() as error:
            raise SandboxUnavailable(f"the engine at {self.where} broke: {error}") from error
        words = self._words.decode("utf-8", "replace").strip()
        return "oom" in happened, words.splitlines()[-1] if words else "it ended without a word"


def connect(host: str | None) -> Any:
    """A docker.DockerClient. Raises SandboxUnavailable, with what to install or to start."""
    try:
        import docker
        from docker.utils import kwargs_from_env
    except ImportError:
        raise SandboxUnavailable("the Docker sandbox needs docker-py: pip install 'rlvr[docker]'") from None
    environment = dict(os.environ) | ({"DOCKER_HOST": host} if host else {})
    try:
        _knock(environment.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
        client = docker.DockerClient(
            **kwargs_from_env(environment=environment), version="auto", timeout=120, use_ssh_client=True
        )
    except _engine_errors() as error:
        where = environment.get("DOCKER_HOST") or "its default address"
        raise SandboxUnavailable(
            f"no Docker engine answers at {where}: {error}. Install and start Docker, or set DOCKER_HOST; "
            "`rlvr sandbox doctor` tells what is missing"
        ) from None
    return client


def _knock(address: str) -> None:
    """Raises OSError where nobody listens at a Unix socket: docker-py would leave its own socket open then."""
    if address.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(address.removeprefix("unix://"))


def _engine_errors() -> tuple[type[Exception], ...]:
    import docker.errors
    import requests
    import urllib3.exceptions

    return docker.errors.DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError


def _config() -> dict[str, Any]:
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/go/bin:/usr/local/cargo/bin"
    return {"contained": True, "box": "/box", "scratch": ["/tmp", "/dev/shm"], "path": path}


def _memory_mb(limits: Limits) -> int:
    return limits.memory_mb + limits.disk_mb + _RUNNER_MB


def _host_config(api: Any, limits: Limits, runtime: str | None) -> Any:
    from docker.types import LogConfig, Ulimit

    size = f"{_memory_mb(limits)}m"
    nodes = f"nr_inodes={limits.inodes},mode=1777"
    stack = 512 << 20
    return api.create_host_config(
        auto_remove=True,
        network_mode="none",
        read_only=True,
        ipc_mode="none",
        mem_limit=size,
        memswap_limit=size,
        pids_limit=max(limits.processes, _COMPILER_PROCESSES) + 16,
        nano_cpus=int(CPUS * 1e9),
        cap_drop=["ALL"],
        # To become a job's uid, to drop groups, and to kill what runs under it. Files go under the job's own uid.
        cap_add=["SETUID", "SETGID", "KILL"],
        security_opt=["no-new-privileges", f"seccomp={seccomp_profile()}"],
        log_config=LogConfig(type="none"),
        tmpfs={
            "/tmp": f"rw,exec,nosuid,nodev,size={limits.disk_mb}m,{nodes}",
            "/dev/shm": f"rw,noexec,nosuid,nodev,size={_SHM_MB}m,{nodes}",
            "/dev/mqueue": "ro,noexec,nosuid,nodev,size=4k,nr_inodes=1,mode=0555",  # the engine mounts one for all
            "/box": f"rw,exec,nosuid,nodev,size={_BOX_MB}m,nr_inodes=64,mode=0755",
        },
        ulimits=[Ulimit(name="stack", soft=stack, hard=stack), Ulimit(name="core", soft=0, hard=0)],
        runtime=runtime,
    )


def owner() -> dict[str, Any]:
    """Who has a container: enough to know later, from the same machine, whether it still lives."""
    return {"machine": _machine(), "pid": os.getpid(), "started": _started(os.getpid())}


def _machine() -> str:
    """A boot of a machine, and the process namespace in it: elsewhere a pid says nothing."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    try:
        return f"{socket.gethostname()} {boot.read_text().strip()} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def sweep(client: Any) -> int:
    """Remove containers of owners that are dead. How many there were."""
    count = 0
    for container in client.api.containers(all=True, filters={"label": OWNER}):
        who = json.loads(container["Labels"][OWNER])
        if who["machine"] != _machine():
            continue  # its owner is elsewhere; it ends with the stream to it
        if _started(who["pid"]) != who["started"]:
            count += 1
            with suppress(*_engine_errors()):  # it may be on its way out
                client.api.remove_container(container["Id"], force=True, v=True)
    return count
