"""Throw-away containers, always without a network and with limits that protect the machine."""

import base64
import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import docker

_PYTEST = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py")


def run_naive(image: str, jobs: Sequence[dict[str, Any]], box: Literal["plain", "open"]) -> dict[str, str]:
    """The result of every job by its id. `box` "open" lacks the isolation that escapes need to be without."""
    client = docker.from_env()
    container = client.api.create_container(
        image,
        ["python3", "/naive.py", "/jobs.json", "/results.json"],
        user="0",
        entrypoint=[],
        labels=["rlvr.test"],
        working_dir="/",
        network_disabled=True,
        host_config=_host(client, box),
    )["Id"]
    try:
        client.api.put_archive(container, "/", _archive(jobs))
        client.api.start(container)
        client.api.wait(container, timeout=600)
        logs = client.api.logs(container).decode(errors="replace")
        try:
            stream, _ = client.api.get_archive(container, "/results.json")
        except docker.errors.NotFound:
            raise AssertionError(f"the naive runners gave no result: {logs}") from None
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            member = archive.extractfile("results.json")
            assert member is not None
            return dict(json.load(member))
    finally:
        client.api.remove_container(container, force=True, v=True)
        client.close()


def _host(client: Any, box: str) -> dict[str, Any]:
    host = client.api.create_host_config(
        network_mode="none",
        mem_limit="1500m",
        memswap_limit="1500m",
        pids_limit=1500,
        nano_cpus=2_000_000_000,
        tmpfs={"/tmp": "size=600m,mode=1777", "/scratch": "size=300m,exec", "/run": "size=64m"},
        shm_size="64m",
        ipc_mode="private",
    )
    if box == "open":
        caps = ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "SYS_NICE", "DAC_READ_SEARCH", "IPC_LOCK", "SYSLOG"]
        host |= {
            "CapAdd": caps,
            "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
            "MaskedPaths": [],
            "ReadonlyPaths": [],
        }
    return host


def _archive(jobs: Sequence[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in (
            ("naive.py", Path(__file__).with_name("naive.py").read_bytes()),
            ("jobs.json", json.dumps(jobs).encode()),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for path in _packages():
            archive.add(path, f"site/{path.name}", filter=lambda info: None if "__pycache__" in info.name else info)
    return buffer.getvalue()


def _packages() -> Iterable[Path]:
    for name in _PYTEST:
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            path = Path(spec.origin)
            yield path.parent if path.name == "__init__.py" else path


def job(name: str, runner: str, program: str, tests: Any, timeout_s: float) -> dict[str, Any]:
    return {
        "id": name,
        "runner": runner,
        "tests": tests,
        "timeout_s": timeout_s,
        "program": base64.b64encode(program.encode("utf-8", "surrogatepass")).decode(),
    }
