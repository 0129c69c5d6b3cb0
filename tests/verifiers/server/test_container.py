"""The image and the compose file: what they copy is there, what they run is a command, and they give nothing away."""

import re
import shlex
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from rlvr.evals.serve_command import parser

ROOT = Path(__file__).parents[3]
HERE = ROOT / "verifiers" / "server"
DOCKERFILE = (HERE / "Dockerfile").read_text(encoding="utf-8")


def instructions(name: str) -> list[str]:
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.removeprefix(f"{name} ") for line in joined.splitlines() if line.startswith(f"{name} ")]


@pytest.fixture
def services() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((HERE / "compose.yaml").read_text(encoding="utf-8"))["services"]


def test_the_image_gets_every_package_and_what_pip_reads():
    copied = [word for line in instructions("COPY") for word in shlex.split(line)[:-1]]
    assert {"verifiers", "evals", "sandbox", "trainer", "pyproject.toml", "README.md", "LICENSE"} == set(copied)
    let_through = [
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    ]
    for name in copied:
        assert (ROOT / name).exists() and any(fnmatch(name, pattern) for pattern in let_through)


def test_the_image_runs_the_service_as_nobody_in_particular():
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", instructions("USER")[-1])
    assert instructions("EXPOSE") == ["8700"] == [str(parser().parse_args(["--reward", "math"]).port)]
    command = re.findall(r'"([^"]+)"', instructions("ENTRYPOINT")[0] + instructions("CMD")[-1])
    assert command[:2] == ["rlvr", "serve"]
    options = parser().parse_args(command[2:])
    assert (options.host, options.reward, options.no_token, options.token) == ("0.0.0.0", "math", False, None)
    (check,) = instructions("HEALTHCHECK")
    assert "/health" in check


def test_the_hosts_engine_is_not_handed_over(services):
    for name, service in services.items():
        mounts = [mount.split(":")[0] for mount in service.get("volumes", ())]
        assert not any("/" in mount for mount in mounts), f"{name} sees a folder of the host"
        assert service.get("network_mode") != "host" and service.get("pid") != "host"
    assert [name for name, service in services.items() if service.get("privileged")] == ["sandbox"]
    assert "clients" not in services["sandbox"]["networks"] and "ports" not in services["sandbox"]


def test_the_service_of_the_compose_file(services):
    serve = services["serve"]
    assert serve["init"] and serve["read_only"] and serve["cap_drop"] == ["ALL"]
    assert serve["ports"] == ["127.0.0.1:8700:8700"]
    assert serve["environment"]["RLVR_TOKEN"].startswith("${RLVR_TOKEN:?")
    plain = [re.sub(r"\$\{\w+:-(\w+)\}", r"\1", word) for word in serve["command"]]
    options = parser().parse_args(plain)
    assert options.reward == "code"
    grace = int(serve["stop_grace_period"].removesuffix("s"))
    assert grace >= options.deadline + 10
    assert (HERE / serve["build"]["context"] / serve["build"]["dockerfile"]).resolve() == HERE / "Dockerfile"
    assert services["sandbox-image"]["entrypoint"] == ["rlvr", "sandbox", "build"]
    assert services["sandbox-image"]["environment"] == serve["environment"]
