"""`rlvr serve`: from options to a service that runs until it is told to stop."""

import argparse
import asyncio
import ipaddress
import os
import resource
import socket
from collections.abc import Sequence
from textwrap import dedent
from types import FrameType

import uvicorn

from ..verifiers.pool import cores
from ..verifiers.server.app import ROUTES, create_app
from ..verifiers.server.service import Service, Settings
from ..verifiers.types import Verifier
from .arguments import number, positive, seconds
from .errors import UsageError
from .verifier import choose_verifier

TOKEN_VARIABLE = "RLVR_TOKEN"
_OPEN_FILES = 1 << 16
_GRACE_S = 5  # beyond the deadline, within which every accepted request has its answer


def command(arguments: Sequence[str]) -> int:
    """`rlvr serve`; the exit code. Raises UsageError, and UnusableVerifier when no worker can load the reward."""
    options = parser().parse_args(arguments)
    token = options.token or os.environ.get(TOKEN_VARIABLE) or None
    if token is None and not options.no_token and not _is_loopback(options.host):
        raise UsageError(
            f"--host {options.host}: whoever reaches that address could use the service; set a token "
            f"({TOKEN_VARIABLE}=… or --token), or say --no-token"
        )
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        raise UsageError("the token: only printable ASCII characters without spaces can stand in a header")
    verifier, waits = _reward(options.reward, options.option)
    try:
        app = create_app(verifier, _settings(options, token, waits=waits))
    except ValueError as error:
        raise UsageError(str(error)) from None
    return _serve(app.state.service, uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=_grace(options), lifespan="on",
        timeout_keep_alive=75, backlog=4096, server_header=False,
    ), _listening(options.host, options.port))  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The options of `rlvr serve`."""
    serve = argparse.ArgumentParser(
        prog="rlvr serve",
        description=dedent("""\
            Serve one reward over HTTP: our own API, OpenRLHF's and slime's remote rewards. Items are judged in worker
            processes; one that is slow or hostile holds up no other. What is accepted is answered; what does not fit
            into the queue is refused with 429 and Retry-After. SIGTERM finishes what was accepted, then exits with 0.
            At a second signal what is left is answered as not judged, and the exit code is 1."""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=dedent("""\
            examples:
              rlvr serve --reward math
              rlvr serve --reward r1_zero_math --workers 16 --unjudged 0
              rlvr serve --reward my_rewards:reward --option strict=true --timeout 30
              RLVR_TOKEN=secret rlvr serve --reward math --host 0.0.0.0

            OpenRLHF: --remote_rm_url http://HOST:8700/get_reward
            slime:    --rm-type remote_rm --rm-url http://HOST:8700/remote_rm
            Their clients send no headers: with a token the URL is http://rlvr:TOKEN@HOST:8700/…

            Exit codes: 0 stopped, 1 stopped before everything was answered, 2 something in the options is yours to
            mend."""),
    )
    reward = serve.add_argument_group("the reward")
    reward.add_argument(
        "--reward", required=True, metavar="NAME",
        help="math, code, format, language, a ready-made one (`rlvr rewards`), or package.module:name for your own",
    )  # fmt: skip
    reward.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="an option of it; may be repeated"
    )
    reward.add_argument(
        "--unjudged", type=number, metavar="NUMBER",
        help="what OpenRLHF and slime are sent for an item that could not be judged: their protocols have no null "
        "(default: such a request fails with 503)",
    )  # fmt: skip
    where = serve.add_argument_group("where")
    where.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: %(default)s)")
    where.add_argument("--port", type=_port, default=8700, help="0 takes a free one (default: %(default)s)")
    where.add_argument(
        "--token",
        metavar="TOKEN",
        help=f"what clients must show; safer in {TOKEN_VARIABLE}, for others can see options",
    )
    where.add_argument(
        "--no-token", action="store_true", help="let anybody who reaches a public --host use the service"
    )
    limits = serve.add_argument_group("limits")
    limits.add_argument("--workers", type=positive, metavar="N", help="items judged at a time (default: one per core)")
    limits.add_argument(
        "--slow-workers",
        type=positive,
        metavar="N",
        help="as many more for slow items (default: a quarter of --workers)",
    )
    limits.add_argument(
        "--timeout", type=seconds, metavar="S",
        help="seconds for one item; what takes longer twice has status timeout and score 0 (default: 10, for code 60)",
    )  # fmt: skip
    limits.add_argument(
        "--patience", type=seconds, metavar="S",
        help="seconds after which an item counts as slow, and may no longer keep others waiting (default: 0.5; for "
        "code as --timeout)",
    )  # fmt: skip
    limits.add_argument(
        "--deadline", type=seconds, default=100.0, metavar="S",
        help="seconds for one request; what could not begin before has score null and reason overloaded (default: 100: "
        "slime gives up after 120, OpenRLHF after 180)",
    )  # fmt: skip
    limits.add_argument(
        "--queue", type=positive, default=10_000, metavar="N", help="items that may wait (default: 10000)"
    )
    limits.add_argument("--max-body", type=number, default=32.0, metavar="MB", help="of one request (default: 32)")
    limits.add_argument("--max-held", type=number, default=512.0, metavar="MB", help="of all at a time (default: 512)")
    limits.add_argument(
        "--memory", type=positive, metavar="MB", help="what one worker may allocate (default: no limit)"
    )
    return serve


def _reward(name: str, options: Sequence[str]) -> tuple[Verifier, bool]:
    """The verifier, and whether it waits for others to do the work. What it needs is tried now and let go of again:
    each worker process starts its own."""
    chosen = choose_verifier(name, options, 1, here=False)
    try:
        chosen.start()
    finally:
        chosen.close()
    return chosen.verifier, chosen.threads is not None


def _settings(options: argparse.Namespace, token: str | None, *, waits: bool) -> Settings:
    workers = options.workers or cores()
    timeout_s = options.timeout or (60.0 if waits else 10.0)
    return Settings(
        reward=options.reward,
        workers=workers,
        slow=options.slow_workers or max(1, workers // 4),
        timeout_s=timeout_s,
        patience_s=options.patience or (timeout_s if waits else 0.5),
        deadline_s=options.deadline,
        queue=options.queue,
        max_body_bytes=int(options.max_body * 1e6),
        max_held_bytes=int(options.max_held * 1e6),
        memory_mb=options.memory,
        unjudged=options.unjudged,
        token=token,
    )


def _grace(options: argparse.Namespace) -> int:
    return int(options.deadline) + _GRACE_S


def _serve(service: Service, config: uvicorn.Config, listening: socket.socket) -> int:
    allow_open_files()
    server = _Server(config, service, listening)
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()
    if service.unusable is not None:
        raise service.unusable
    return 1 if server.unanswered else 0


class _Server(uvicorn.Server):
    """uvicorn's, which says where it listens, stops when the reward cannot be loaded, and raises no signal again."""

    def __init__(self, config: uvicorn.Config, service: Service, listening: socket.socket) -> None:
        super().__init__(config)
        self._service, self._listening = service, listening
        self._signals = 0
        self.unanswered = 0
        """Items without a verdict, and requests without an answer, when it ended."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        _say(self._service.settings, *self._listening.getsockname()[:2])

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        return await super().on_tick(counter) or self._service.unusable is not None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what was accepted, within the grace."""
        self._service.draining = True
        await super().shutdown(sockets)
        self.unanswered += len(self.server_state.tasks)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal lets everything be judged, the second answers what is left as not judged, the third ends."""
        self._signals += 1
        self.should_exit = self._service.draining = True
        if self._signals == 2:
            self._loop.call_soon_threadsafe(self._give_up)
        self.force_exit = self._signals > 2

    def _give_up(self) -> None:
        self.unanswered += self._service.pool.close()


def _say(settings: Settings, host: str, port: int) -> None:
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    token = "" if settings.token is None else f' -H "Authorization: Bearer ${TOKEN_VARIABLE}"'
    lines = [address, f"serves {settings.reward} with {settings.workers} workers and {settings.slow} for slow items"]
    lines += [f"  {route:<12} {what}" for route, what in ROUTES.items()]
    if settings.unjudged is not None:
        lines.append(f"OpenRLHF and slime are paid {settings.unjudged:g} for an item that could not be judged")
    lines.append(
        f"try: curl -s {address}/score{token} -H 'Content-Type: application/json' "
        """-d '{"answer": "4", "completion": "It is \\\\boxed{4}."}'"""
    )
    print("\n".join(lines), flush=True)


def _listening(host: str, port: int) -> socket.socket:
    """A socket that is bound; nothing is accepted before the service runs."""
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, number)
    except OSError as error:
        raise UsageError(f"--host {host}: {error.strerror}") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise UsageError(f"--host {host} --port {port}: {error.strerror}") from None
    return listening


def allow_open_files() -> None:
    """A connection takes a descriptor, also one that says nothing, and the 1,024 of most systems are soon taken."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(most, _OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value < 65536:
        raise argparse.ArgumentTypeError(f"{value} is not a port")
    return value
