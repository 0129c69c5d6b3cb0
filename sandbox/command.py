"""`rlvr sandbox build`, `rlvr sandbox doctor` and `rlvr sandbox run`."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from .containers import connect
from .docker import DockerSandbox
from .doctor import examine
from .images import DEFAULT_BASE, build_image, default_tag
from .languages import LANGUAGES
from .types import Limits, Program, SandboxUnavailable


def _parser() -> argparse.ArgumentParser:
    sandbox = argparse.ArgumentParser(prog="rlvr sandbox", description="The sandbox that runs programs.")
    commands = sandbox.add_subparsers(dest="sandbox_command", metavar="COMMAND", required=True)
    build = commands.add_parser("build", help="build the image that programs run in")
    build.add_argument("--base", default=DEFAULT_BASE, metavar="IMAGE", help="what it is built on: python3 >= 3.8, and "
                       "the compilers that you need (default: %(default)s)")  # fmt: skip
    build.add_argument("--tag", metavar="NAME", help="what it is called (default: the name that rlvr looks for)")
    doctor = commands.add_parser("doctor", help="try engine, image, and every limit for real")
    run = commands.add_parser("run", help="run one program; show its output and what it cost")
    run.add_argument("file", metavar="FILE", type=Path)
    run.add_argument("--stdin", metavar="TEXT", help="its standard input (default: none)")
    run.add_argument("--language", choices=sorted(LANGUAGES), help="default: by the file's name")
    units = {"s": "seconds", "mb": "MB", "kb": "KB", "factor": "times the CPU seconds"}
    for field in fields(Limits):
        unit = f", {units[last]}" if (last := field.name.rpartition("_")[2]) in units else ""
        run.add_argument(f"--{field.name.replace('_', '-')}", type=float if "float" in str(field.type) else int,
                         dest=field.name, metavar="N", help=f"limit{unit} (default: {field.default})")  # fmt: skip
    for command in (doctor, run):
        command.add_argument("--image", metavar="NAME", help="another image than the one that rlvr builds")
        command.add_argument("--runtime", metavar="NAME", help="the engine's runtime, such as runsc")
    doctor.add_argument("--json", action="store_true", help="print the result as one JSON list")
    return sandbox


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0, 1 when a limit does not hold or the program failed, 2 when there is no sandbox."""
    options = _parser().parse_args(arguments)
    try:
        return {"build": _build, "doctor": _doctor, "run": _run}[options.sandbox_command](options)
    except SandboxUnavailable as error:
        print(f"rlvr sandbox {options.sandbox_command}: {error}", file=sys.stderr)
        return 2


def _build(options: argparse.Namespace) -> int:
    for line in build_image(connect(None), options.base, options.tag):
        print(line)
    print(f"built {options.tag or default_tag()}")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    findings = list[dict[str, Any]]()
    for finding in examine(DockerSandbox(workers=1, image=options.image, runtime=options.runtime)):
        findings.append({"tried": finding.tried, "holds": finding.holds, "seen": finding.seen})
        if not options.json:
            print(f"{'ok  ' if finding.holds else 'FAIL'}  {finding.tried}: {finding.seen}", flush=True)
    if options.json:
        print(json.dumps(findings))
    return 0 if all(finding["holds"] for finding in findings) else 1


def _run(options: argparse.Namespace) -> int:
    language = options.language or _language_of(options.file)
    given = {field.name: value for field in fields(Limits) if (value := getattr(options, field.name)) is not None}
    try:
        source = options.file.read_text(encoding="utf-8")
    except OSError as error:
        print(f"rlvr sandbox run: {error}", file=sys.stderr)
        return 2
    with (
        DockerSandbox(workers=1, limits=Limits(**given), image=options.image, runtime=options.runtime) as sandbox,
        sandbox.open(Program(source, language)) as session,
    ):
        if session.compiled.outcome != "ok":
            run = session.compiled
        else:
            (run,) = session.run([(options.stdin or "").encode()])
    sys.stdout.buffer.write(run.stdout)
    sys.stdout.flush()
    sys.stderr.buffer.write(run.stderr)
    sys.stderr.flush()
    how = {"exit": f"exit {run.exit_status}", "signal": f"signal {run.signal}"}.get(run.outcome, run.outcome)
    cost = f"{run.cpu_s * 1000:.0f} ms CPU, {run.wall_s * 1000:.0f} ms wall, {run.memory_mb:.0f} MB"
    print(f"[{how}; {cost}]", file=sys.stderr)
    return 0 if run.outcome == "ok" else 1


def _language_of(file: Path) -> str:
    for name, language in LANGUAGES.items():
        if Path(language.file).suffix == file.suffix:
            return name
    return "python"
