"""`rlvr eval`: tasks put to an engine, every sample kept as it arrives and judged meanwhile."""

import asyncio
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..verifiers.types import Verdict
from .engines.choose import ENGINES, make_engine
from .engines.types import Engine, EngineInfo, EngineUnavailable, Generated, Prompt, Sampling
from .errors import UsageError
from .files import Row, Source, dump_line
from .outcome import Scoring, conclude
from .problems import Problems
from .prompts import Template
from .run_dir import ENGINE_LOG, FREE_OPTIONS, Key, RunDir, completion_of
from .scoring import Scorer
from .summary import Summary
from .tasks import Task
from .verifier import Chosen, choose_verifier

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Model:
    """What is evaluated, and how it is reached."""

    name: str
    """As the user wrote it: a hub id, a folder, or what the server calls it."""
    backend: str = "vllm"
    """An engine's name, or `module:Class` for one's own: called with the name and the options as keywords."""
    options: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One task of a run, and where it goes."""

    task: Task
    problems: Problems
    template: Template
    n: int
    limit: int | None
    out: Path


class Listener:
    """What a run tells while it goes on; the terminal overrides this silence."""

    def say(self, line: str) -> None:
        """A line for the user."""

    def drawing(self, plan: Plan, done: int, asked: int) -> None:
        """Samples of a task are asked for: `done` are there from before, `asked` will come."""

    def drawn(self, tokens: int, *, failed: bool) -> None:
        """One sample arrived, or could not be had."""


def choose_for(task: Task) -> Chosen:
    """The task's verifier. Raises UsageError where this version has none of that name, or an option is wrong."""
    try:
        return choose_verifier(task.verifier, task.options)
    except UsageError as error:
        raise UsageError(f"task {task.name}: {error}") from None


def evaluate(
    model: Model, plans: Sequence[Plan], sampling: Sampling, listener: Listener, command: Sequence[str] = ()
) -> list[Summary]:
    """Draw what is missing of every plan, judge it, write each run's folder and return the summaries.

    Raises UsageError for what the user can mend: an engine that cannot start, a folder that holds another run.
    """
    with ExitStack() as stack:
        runs: list[_Run] = []
        for plan in plans:
            chosen = choose_for(plan.task)
            stack.callback(chosen.close)
            run = _Run(plan, chosen, stack.enter_context(RunDir(plan.out)), model, sampling, listener)
            run.look()
            runs.append(run)
        if drawing := [run for run in runs if run.missing]:
            engine = _engine(model, drawing[0].folder.path / ENGINE_LOG)
            try:
                asyncio.run(_draw_all(engine, drawing, command))
            except EngineUnavailable as error:
                raise UsageError(f"--model {model.name}: {error}") from None
        else:
            listener.say("every sample is there already: nothing is asked of the model")
        return [run.conclude() for run in runs]


def identity(plan: Plan, model: Model, sampling: Sampling, chosen: Chosen) -> dict[str, Any]:
    """What is known of a run before its engine has started; a continued run must agree in all of it."""
    task, problems = plan.task, plan.problems
    return {
        "format": FORMAT,
        "rlvr": version("rlvr"),
        "task": {
            "name": task.name,
            "benchmark": task.benchmark,
            "source": problems.source,
            "revision": problems.revision,
            "hash": problems.digest,
            "problems": problems.total,
            "size": task.size,
            "limit": plan.limit,
            "n": plan.n,
            "published_n": task.published_n,
            "verifier": dict(chosen.identity),
        },
        "prompt": {
            "style": plan.template.style,
            "template": plan.template.text,
            "chat": plan.template.chat,
            "system": plan.template.system,
            "prefix": plan.template.prefix,
            "hash": plan.template.digest(),
        },
        "model": model.name,
        "model_files": model_files(model),
        "backend": model.backend,
        "engine_options": {key: value for key, value in (model.options or {}).items() if key not in FREE_OPTIONS},
        "sampling": asdict(sampling),
    }


def model_files(model: Model) -> str | None:
    """A hash of a model folder's files, by their names, sizes and both ends: a checkpoint that was trained further is
    another model. None for a model of the hub, whose commit the engine tells, and for one behind a server."""
    folder = Path(model.name).expanduser()
    if model.backend == "openai" or not folder.is_dir():
        return None
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return blake2b(dump_line([Source(str(path)).fingerprint() for path in files]), digest_size=16).hexdigest()


def default_folder(plan_identity: Mapping[str, Any]) -> Path:
    """`runs/TASK-MODEL-HASH`: other settings, another folder; the same command, the same one."""
    digest = blake2b(dump_line(dict(plan_identity)), digest_size=3).hexdigest()
    model = Path(plan_identity["model"].rstrip("/")).name or "model"
    return Path("runs") / f"{plan_identity['task']['name']}-{model}-{digest}"


class _Run:
    """One task's folder while samples are drawn into it."""

    def __init__(
        self, plan: Plan, chosen: Chosen, folder: RunDir, model: Model, sampling: Sampling, listener: Listener
    ) -> None:
        self.plan, self.folder, self.sampling = plan, folder, sampling
        self.missing: dict[str, list[int]] = {}
        self.places: dict[Key, int] = {}
        self.verdicts: dict[Key, Verdict] = {}
        self._chosen = chosen
        self._listener = listener
        self._identity = identity(plan, model, sampling, chosen)
        self._problems = {problem.id: problem for problem in plan.problems.asked}
        self._scoring = Scoring()

    def look(self) -> None:
        """What an earlier session left; what is missing."""
        self.folder.check(self._identity)
        for row, place in self.folder.samples():
            key = (row["id"], row["sample"])
            if key in self.places or key[0] not in self._problems or not 0 <= key[1] < self.plan.n:
                raise UsageError(f"{self.folder.path}: sample {key[1]} of problem {key[0]!r} is one too many")
            self.places[key] = place
        self.verdicts = self.folder.verdicts()
        for name in self._problems:
            absent = [sample for sample in range(self.plan.n) if (name, sample) not in self.places]
            if absent:
                self.missing[name] = absent

    async def draw(self, engine: Engine, info: EngineInfo, command: Sequence[str]) -> None:
        """Ask the engine for what is missing; returns when all of it is there, failed, or was passed over."""
        prompts = {name: self.plan.template.prompt(problem) for name, problem in self._problems.items()}
        self.folder.begin(self._manifest(engine, info, prompts, command), self._problems.values())
        asks = [(prompts[name], tuple(samples)) for name, samples in self.missing.items()]
        self._listener.drawing(self.plan, len(self.places), sum(len(samples) for _, samples in asks))
        open_keys = {(prompt.problem_id, sample) for prompt, samples in asks for sample in samples}
        start = time.monotonic()
        self.folder.start_session()
        try:
            with Scorer(self._chosen, self._judged) as scorer:
                for key in self.places.keys() - self.verdicts.keys():
                    self._hand_over(scorer, key)
                arriving = engine.sample(asks, self.sampling)
                try:
                    async for generated in arriving:
                        self._take(generated, open_keys, scorer)
                finally:
                    if (close := getattr(arriving, "aclose", None)) is not None:
                        await close()
                for name, sample in sorted(open_keys):
                    self._fail(Generated(name, sample, error="the engine ended without it"))
                last = time.monotonic()
        finally:
            self.folder.end_session()
        now = time.monotonic()
        self._scoring = Scoring(scorer.busy_s, now - last, now - start)

    def _take(self, generated: Generated, open_keys: set[Key], scorer: Scorer) -> None:
        key = (generated.problem_id, generated.sample)
        if key not in open_keys:
            raise RuntimeError(f"the engine gave sample {key[1]} of problem {key[0]!r}, which it was not asked for")
        open_keys.remove(key)
        if generated.error is not None:
            self._fail(generated)
            return
        self.places[key] = self.folder.add_sample(generated)
        self._hand_over(scorer, key)
        self._listener.drawn(generated.n_tokens or 0, failed=False)

    def _fail(self, generated: Generated) -> None:
        self.folder.add_error(generated)
        self._listener.drawn(0, failed=True)

    def _hand_over(self, scorer: Scorer, key: Key) -> None:
        place = self.places[key]
        scorer.add(key, self._problems[key[0]], lambda: completion_of(self.folder.sample_at(place)))

    def _judged(self, key: Key, verdict: Verdict) -> None:
        self.folder.add_verdict(key, verdict)
        self.verdicts[key] = verdict

    def conclude(self) -> Summary:
        """The summary and the report. What a session that was killed drew and did not judge is judged first."""
        if unjudged := self.places.keys() - self.verdicts.keys():
            with Scorer(self._chosen, self._judged) as scorer:
                for key in sorted(unjudged):
                    self._hand_over(scorer, key)
        return conclude(self.folder, self._chosen, self.verdicts, self.places, self._scoring)

    def _manifest(
        self, engine: Engine, info: EngineInfo, prompts: Mapping[str, Prompt], command: Sequence[str]
    ) -> dict[str, Any]:
        first = next(iter(prompts.values()))
        messages = [dict(message) for message in first.messages]
        return {
            **self._identity,
            "first_prompt": {
                "problem": first.problem_id, "messages": messages, "text": first.text, "rendered": engine.render(first),
            },
            "engine": asdict(info),
            "rlvr_git": git_state(Path(__file__)),
            "folder_git": git_state(Path.cwd()),
            "command": list(command) or sys.argv,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip


async def _draw_all(engine: Engine, runs: Iterable[_Run], command: Sequence[str]) -> None:
    try:
        info = await engine.start()
        for run in runs:
            await run.draw(engine, info, command)
    finally:
        await engine.aclose()


def _engine(model: Model, log: Path) -> Engine:
    options = dict(model.options or {})
    if model.backend == "vllm":
        options.setdefault("log_file", str(log))
    if ":" not in model.backend:
        if model.backend not in ENGINES:
            known = ", ".join(ENGINES)
            raise UsageError(f"--backend {model.backend}: there is no such engine; {known}, or package.module:Class")
        try:
            return make_engine(model.backend, model.name, options)
        except EngineUnavailable as error:
            raise UsageError(f"--backend {model.backend}: {error}") from None
    module, _, name = model.backend.partition(":")
    here = os.getcwd()  # noqa: PTH109 - an entry of sys.path is text
    if here not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does, so that a file in this folder is found
    try:
        return getattr(importlib.import_module(module), name)(model.name, **options)
    except (ImportError, AttributeError, TypeError) as error:
        raise UsageError(f"--backend {model.backend}: {error}") from None


def git_state(path: Path) -> Row | None:
    """The commit of the checkout that `path` belongs to and whether anything in it was changed; None outside of one."""
    folder = path if path.is_dir() else path.parent
    git = partial(subprocess.run, cwd=folder, capture_output=True, text=True, check=False)
    try:
        if path.is_file() and git(["git", "ls-files", "--error-unmatch", path.name]).returncode:
            return None  # installed below somebody's checkout, not a part of it
        commit = git(["git", "rev-parse", "HEAD"])
        if commit.returncode:
            return None
        changed = git(["git", "status", "--porcelain", "--untracked-files=no"])
    except OSError:  # no git here
        return None
    return {"commit": commit.stdout.strip(), "changed": bool(changed.stdout.strip())}
