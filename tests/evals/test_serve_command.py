"""`rlvr serve` as a command: what it says, what it refuses, how it ends. The service itself: tests/verifiers/server."""

import resource
import signal
import socket
import subprocess
import sys

import httpx2
import pytest
from rlvr.evals.serve_command import ROUTES, allow_open_files, parser

BROKEN = """
class Reward:
    def __call__(self, problem, completion):
        raise AssertionError
    def __reduce__(self):
        return explode, ()
def explode():
    raise RuntimeError("it cannot be loaded")
reward = Reward()
"""


@pytest.fixture
def running(start):
    """Start `rlvr serve …`; the process and the first line that it says."""

    def begin(*options):
        process = start("serve", "--port", 0, *options)
        return process, process.stdout.readline().decode().strip()

    return begin


def test_it_says_where_it_is_and_ends_when_told(running):
    process, address = running("--reward", "math", "--workers", 1)
    assert address.startswith("http://127.0.0.1:")
    item = {"answer": "4", "completion": "It is \\boxed{4}."}
    assert httpx2.post(f"{address}/score", json=item, timeout=100).json()["score"] == 1.0
    process.send_signal(signal.SIGTERM)
    said = process.stdout.read().decode()
    assert (process.wait(100), process.stderr.read()) == (0, b"")
    assert all(route in said for route in ROUTES) and f"curl -s {address}/score" in said


def test_the_curl_line_works(running):
    process, _ = running("--reward", "math", "--workers", 1)
    while not (line := process.stdout.readline().decode()).startswith("try: "):
        assert line
    done = subprocess.run(line.removeprefix("try: "), shell=True, capture_output=True, text=True, check=True)
    assert '"status": "correct"' in done.stdout


def test_ctrl_c_ends_it_too(running):
    process, _ = running("--reward", "format", "--workers", 1)
    process.send_signal(signal.SIGINT)
    assert process.wait(100) == 0


def test_ipv6(running):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with socket.socket(socket.AF_INET6) as trial:
        try:
            trial.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
    _, address = running("--reward", "format", "--workers", 1, "--host", "::1")
    assert address.startswith("http://[::1]:")
    assert httpx2.post(f"{address}/remote_rm", json={"response": "x"}, timeout=100).json() == 0.0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_a_public_address_needs_a_token_or_a_word(rlvr, host):
    done = rlvr("serve", "--reward", "math", "--host", host)
    assert done.returncode == 2
    assert done.stderr.startswith(f"rlvr serve: --host {host}: ") and "--no-token" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_public_address_with_either(running):
    _, address = running("--reward", "format", "--workers", 1, "--host", "0.0.0.0", "--no-token")
    port = address.rpartition(":")[2]
    assert httpx2.post(f"http://127.0.0.1:{port}/remote_rm", json={"response": "x"}, timeout=100).status_code == 200
    _, address = running("--reward", "format", "--workers", 1, "--host", "0.0.0.0", "--token", "s3cret")
    port = address.rpartition(":")[2]
    assert httpx2.post(f"http://127.0.0.1:{port}/remote_rm", json={"response": "x"}, timeout=100).status_code == 401


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--reward", "maths"], "maths"),
        (["--reward", "math", "--option", "extract=all"], "extract"),
        (["--reward", "math", "--option", "speed=1"], "speed"),
        (["--reward", "math", "--token", "gr\u00fcn"], "ASCII"),
        (["--reward", "math", "--token", "two words"], "without spaces"),
        (["--reward", "math", "--host", "127.0.0.1", "--max-body", "0"], "max_body"),
        (["--reward", "broken:reward"], "it cannot be loaded"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(rlvr, tmp_path, options, says):
    (tmp_path / "broken.py").write_text(BROKEN)
    done = rlvr("serve", "--port", 0, *options)
    assert done.returncode == 2
    assert says in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize(
    "option", ["--workers=0", "--queue=0", "--timeout=0", "--deadline=-1", "--unjudged=nan", "--port=70000"]
)
def test_numbers_out_of_range(rlvr, option):
    done = rlvr("serve", "--reward", "math", option)
    assert done.returncode == 2 and option.partition("=")[0] in done.stderr


def test_more_connections_than_the_usual_limit():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        allow_open_files()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert hard == before[1]
    assert soft >= 4096 or soft == hard


def test_a_port_that_is_taken(rlvr):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = rlvr("serve", "--reward", "math", "--port", taken.getsockname()[1])
    assert done.returncode == 2 and "in use" in done.stderr and len(done.stderr.splitlines()) == 1


def test_without_fastapi_it_says_what_to_install(environment, tmp_path):
    (tmp_path / "fastapi.py").write_text("raise ModuleNotFoundError(\"No module named 'fastapi'\", name='fastapi')\n")
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from rlvr.evals.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), "serve", "--reward", "math"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, "rlvr serve: needs fastapi: pip install 'rlvr[serve]'\n")


def test_help_tells_what_trainers_need():
    text = parser().format_help()
    for word in ("/get_reward", "/remote_rm", "RLVR_TOKEN", "--unjudged", "Exit codes"):
        assert word in text
