"""Run Python source as `python file` would, in a process that was forked ready."""

from __future__ import annotations

import atexit
import io
import marshal
import os
import signal
import sys
import threading
import traceback
import types
from typing import Any, NoReturn

from .frames import Messages


def fresh_streams() -> None:
    """Standard streams over this process's own descriptors, as a new interpreter makes them."""
    for fd, name, mode in ((0, "stdin", "rb"), (1, "stdout", "wb"), (2, "stderr", "wb")):
        raw = io.FileIO(fd, mode, closefd=False)
        raw.name = f"<{name}>"  # type: ignore[misc]
        buffer = io.BufferedReader(raw) if fd == 0 else io.BufferedWriter(raw)
        errors = "backslashreplace" if fd == 2 else "strict"
        stream = io.TextIOWrapper(buffer, "utf-8", errors, line_buffering=fd == 2)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def compile_first(channel: int, box: str, language: dict[str, Any]) -> types.CodeType:
    """Compile the program and send the code, for the processes after this one, before any of it runs.

    What is wrong with it goes to standard error, as Python says it, and ends the process.
    """
    messages = Messages(channel)
    try:
        code = load(os.path.join(box, language["file"]))
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as error:
        traceback.print_exception(type(error), error, None)
        messages.write(b"")
        leave(1)
    messages.write(marshal.dumps(code))
    messages.release()
    return code


def load(path: str) -> types.CodeType:
    with open(path, "rb") as file:
        source = file.read()
    return compile(source, path, "exec", dont_inherit=True)


def code_of(job: dict[str, Any]) -> types.CodeType:
    """What `compile_first` compiled, here or in a process before."""
    if "code" in job:
        return job["code"]
    language: dict[str, str] = job["language"]
    with open(os.path.join(job["box"], language["made"]), "rb") as file:
        return marshal.loads(file.read())


def run(code: types.CodeType, main: types.ModuleType) -> NoReturn:
    """Run it as `__main__`, and end as the interpreter does."""
    main.__dict__.update(__file__=code.co_filename, __builtins__=sys.modules["builtins"])
    vars(main)["__annotations__"] = {}
    finish(attempt(code, main.__dict__))


def attempt(code: types.CodeType, namespace: dict[str, Any]) -> int:
    """Execute, show an exception as the interpreter would, and say the exit status."""
    try:
        exec(code, namespace)  # noqa: S102 - this is the program, in its own process
    except SystemExit as error:
        return exit_status(error)
    except BaseException as error:  # noqa: BLE001 - whatever the program raises, it is shown and ends it
        trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return 1
    return 0


def exit_status(error: SystemExit) -> int:
    code = error.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stdout.flush()
    sys.stderr.write(f"{code}\n")
    return 1


def finish(status: int) -> NoReturn:
    """What the interpreter does at its end: wait for threads, `atexit`, objects with `__del__`, flush."""
    try:
        getattr(threading, "_shutdown", lambda: None)()
        getattr(atexit, "_run_exitfuncs", lambda: None)()
        _delete(sys.modules.get("__main__"))
    except SystemExit as error:
        status = exit_status(error)
    except BaseException:  # noqa: BLE001 - as above
        traceback.print_exc()
    leave(status)


def _delete(main: types.ModuleType | None) -> None:
    names = vars(main) if main is not None else {}
    if any(isinstance(value, type) and "__del__" in vars(value) for value in list(names.values())):
        for name in [name for name in names if not name.startswith("__")]:
            names.pop(name, None)


def leave(status: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:  # pyright: ignore[reportUnnecessaryComparison]
                stream.flush()
        except (OSError, ValueError):
            status = status or 120
    os._exit(status)
