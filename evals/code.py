"""`--verifier code`: options become a sandbox, its limits and `verify_code`."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any, cast

from ..sandbox.types import Limits, Program, Sandbox, SandboxUnavailable
from ..verifiers.code import verify_code
from ..verifiers.types import Completion, Problem, Verifier
from .errors import UsageError

OF_VERIFIER = ("language", "mode")
OF_SANDBOX = ("image", "hosts", "runtime", "fresh")
OF_LIMITS = tuple(field.name for field in fields(Limits))
OPTIONS = (*OF_VERIFIER, *OF_SANDBOX, *OF_LIMITS)


def make_code(options: Mapping[str, Any], workers: int) -> tuple[Verifier, Callable[[], None], Callable[[], None]]:
    """The verifier over a Docker sandbox with so many workers, what tries it, and what ends the sandbox.

    To be tried before the first row is read, not once for each: raises UsageError when the engine, the image or the
    language is missing. Raises UsageError for an option that is wrong.
    """
    limits = _limits(options)
    sandbox = _sandbox({name: options[name] for name in OF_SANDBOX if name in options}, limits, workers)
    verifier = cast(Verifier, partial(verify_code, sandbox=sandbox, **_named(options, OF_VERIFIER)))
    return verifier, partial(_try, verifier, sandbox, options.get("language", "python")), sandbox.close


def _named(options: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: options[name] for name in names if name in options}


def _limits(options: Mapping[str, Any]) -> Limits:
    given = _named(options, OF_LIMITS)
    for name, value in given.items():
        whole = type(getattr(Limits(), name)) is int
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or value <= 0:
            kind = "a whole number" if whole else "a number"
            raise UsageError(f"--option {name}={value}: is not {kind} above 0")
    return Limits(**given)


def _sandbox(options: dict[str, Any], limits: Limits, workers: int) -> Sandbox:
    from ..sandbox.docker import DockerSandbox

    if isinstance(options.get("hosts"), str):
        options["hosts"] = [options["hosts"]]
    try:
        return DockerSandbox(workers=workers, limits=limits, **options)
    except (ValueError, TypeError) as error:
        raise UsageError(f"verifier code: {error}") from None
    except SandboxUnavailable as error:
        raise UsageError(f"verifier code: {error}") from None


def _try(verifier: Verifier, sandbox: Sandbox, language: str) -> None:
    try:
        verifier(Problem("options", tests={"inputs": [""], "outputs": [""]}), Completion(""))
        with sandbox.open(Program("", language)):
            pass
    except (ValueError, SandboxUnavailable) as error:
        sandbox.close()
        raise UsageError(f"verifier code: {error}") from None
    except BaseException:  # Ctrl-C too: no container may be left behind
        sandbox.close()
        raise
