"""`rlvr eval`, `rlvr tasks`, and `rlvr score` and `rlvr report` of a run's folder: from options to what they do."""

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from .arguments import positive
from .errors import UsageError

if TYPE_CHECKING:  # what they import takes longer than --help should
    from .engines.types import Sampling
    from .run import Model, Plan


def add_eval(commands: Any) -> None:
    """The command's options."""
    command = commands.add_parser(
        "eval",
        help="draw samples for a benchmark from a model, judge them, and write a run's folder with its report",
        description=dedent("""\
            Ask a model every problem of a task several times, by the protocol of DeepSeek-R1 unless an option says
            otherwise (temperature 0.6, top-p 0.95, 32,768 new tokens, no system prompt), and judge each completion.
            The folder keeps every sample: a run that was stopped continues when the same command is given again."""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=dedent("""\
            examples:
              rlvr eval aime24 --model deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B
              rlvr eval math500,aime25 --model tiny --backend openai --base-url http://127.0.0.1:8000/v1 --n 4
              rlvr eval aime24 --data aime24.jsonl --model ./checkpoint --backend transformers --n 4 --max-tokens 512
              rlvr eval my_task.toml --model ./checkpoint --engine-option tensor_parallel_size=2

            A task of your own is a TOML file (name, data = "problems.jsonl", problem = "question", answer = "gold",
            n = 8) or package.module:name, an rlvr.evals.tasks.Task. An engine of your own is package.module:Class.
            Exit codes: 0 done, 1 samples are missing, 2 an option is yours to mend, 130 interrupted."""),
    )
    command.add_argument("tasks", metavar="TASK[,TASK]", help="what `rlvr tasks` lists, a .toml file, or module:name")
    command.add_argument("--model", required=True, metavar="M", help="a hub id, a folder, or the server's name for it")
    asking = command.add_argument_group("asking")
    asking.add_argument("--n", type=positive, metavar="N", help="samples per problem (default: the task's)")
    asking.add_argument("--limit", type=positive, metavar="N", help="only the first N problems")
    asking.add_argument(
        "--data", type=Path, metavar="FILE", help="read the problems here: a file, or a data-set folder"
    )
    asking.add_argument("--prompt", metavar="NAME", help="r1, r1-zero or plain (default: the task's own, else r1)")
    asking.add_argument("--system", metavar="TEXT", help="a system prompt (the protocol has none)")
    asking.add_argument("--think-prefix", action="store_true", help="make every completion begin with <think>")
    sampling = command.add_argument_group("sampling")
    sampling.add_argument("--temperature", type=_share_of(2), default=0.6, metavar="T", help="(default: 0.6)")
    sampling.add_argument("--top-p", type=_share_of(1), default=0.95, metavar="P", help="(default: 0.95)")
    sampling.add_argument(
        "--max-tokens", type=positive, default=32_768, metavar="N", help="new tokens per completion (default: 32768)"
    )
    sampling.add_argument("--seed", type=int, default=0, metavar="S", help="of the run (default: 0)")
    sampling.add_argument("--logprobs", action="store_true", help="keep the log-probability of each sampled token")
    engine = command.add_argument_group("engine")
    engine.add_argument(
        "--backend", default="vllm", metavar="NAME", help="vllm, openai, transformers, or module:Class (default: vllm)"
    )
    engine.add_argument("--base-url", metavar="URL", help="of the server, for --backend openai")
    engine.add_argument(
        "--engine-option", action="append", default=[], metavar="NAME=VALUE", dest="engine_options",
        help="e.g. tensor_parallel_size=2, concurrency=128; may be repeated",
    )  # fmt: skip
    output = command.add_argument_group("output")
    output.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (default: runs/TASK-MODEL-…)")
    output.add_argument("--json", action="store_true", help="print the summaries as one JSON object per task")
    output.add_argument("--quiet", action="store_true", help="no progress and no remarks")


def add_tasks(commands: Any) -> None:
    """The command's options."""
    command = commands.add_parser("tasks", help="list the benchmarks that `rlvr eval` knows")
    command.add_argument("--json", action="store_true", help="print them as one JSON object")


def add_report(commands: Any) -> None:
    """The command's options."""
    command = commands.add_parser(
        "report",
        help="write report.html of a run's folder again, of an evaluation or a training run, also while it goes on",
        description="Of an evaluation: judge what has no verdict yet, and write scored.jsonl, summary.json and "
        "report.html again. Of a training run: draw its curves, and completions side by side, as report.html.",
    )
    command.add_argument("folder", type=Path, metavar="DIR", help="the folder of `rlvr eval` or `rlvr train`")
    command.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    command.add_argument("--quiet", action="store_true", help="no remarks")


def evaluate(options: argparse.Namespace) -> int:
    """`rlvr eval`."""
    from .render_run import RunTerminal, print_run
    from .run import evaluate

    model, sampling = _model(options), _sampling(options)
    plans = _plans(options, model, sampling)
    with RunTerminal(quiet=options.quiet) as terminal:
        for plan in plans:
            terminal.say(f"{plan.task.name}: {len(plan.problems.asked):,} problems x {plan.n} samples into {plan.out}")
        options.folders = [plan.out for plan in plans]
        summaries = evaluate(model, plans, sampling, terminal, ["rlvr", *sys.argv[1:]])
    for summary in summaries:
        if options.json:
            print(json.dumps(summary))
        else:
            print_run(summary)
    return 1 if any(summary["run"]["missing"] for summary in summaries) else 0


def how_to_continue(options: argparse.Namespace) -> str:
    """What somebody is told who interrupted the command."""
    folders = ", ".join(str(folder) for folder in getattr(options, "folders", ()))
    if not folders:
        return "Nothing was written."
    return f"{folders} holds what was drawn so far; give the same command again to continue."


def score_folder(options: argparse.Namespace) -> int:
    """`rlvr score DIR`: judge every sample of a run again."""
    given = [name for name in ("out", "report") if getattr(options, name) is not None]
    if given:
        raise UsageError(f"--{given[0]}: a run's folder has its own files, which are written again")
    return _conclude(Path(options.files[0]), options, anew=True)


def report_folder(options: argparse.Namespace) -> int:
    """`rlvr report DIR`."""
    if all((options.folder / name).is_file() for name in ("metrics.jsonl", "config.toml")):
        curves: Any = import_module("..trainer.curves", __package__)  # nothing here may import the trainer
        return curves.report(options.folder, as_json=options.json)
    return _conclude(options.folder, options, anew=False)


def list_tasks(options: argparse.Namespace) -> int:
    """`rlvr tasks`."""
    from .render_run import print_tasks
    from .tasks import benchmarks

    if options.json:
        rows = {
            name: {"about": t.about, "hub": t.hub, "revision": t.revision, "size": t.size, "n": t.n, "shape": t.shape}
            for name, t in benchmarks().items()
        }
        print(json.dumps(rows, indent=1))
    else:
        print_tasks(benchmarks().values())
    return 0


def _conclude(path: Path, options: argparse.Namespace, *, anew: bool) -> int:
    from .outcome import rescore
    from .render_run import print_run
    from .run_dir import RunDir, is_run

    if not is_run(path):
        raise UsageError(f"{path}: is no run of ours: a folder that `rlvr eval` wrote has a manifest.json")
    verifier = getattr(options, "verifier", None)
    verifier_options = tuple(getattr(options, "verifier_options", ()))
    with RunDir(path) as folder:
        summary = rescore(folder, verifier, verifier_options, anew=anew)
    if options.json:
        print(json.dumps(summary))
    else:
        print_run(summary)
    return 0


def _model(options: argparse.Namespace) -> "Model":
    from .engines.choose import parse_options
    from .run import Model

    engine_options = parse_options(options.engine_options)
    if options.base_url is not None:
        if options.backend in ("vllm", "transformers"):
            raise UsageError(f"--base-url: the {options.backend} engine asks no server; --backend openai does")
        engine_options["base_url"] = options.base_url
    return Model(options.model, options.backend, engine_options)


def _sampling(options: argparse.Namespace) -> "Sampling":
    from .engines.types import Sampling

    return Sampling(options.temperature, options.top_p, options.max_tokens, options.seed, options.logprobs)


def _plans(options: argparse.Namespace, model: "Model", sampling: "Sampling") -> "list[Plan]":
    from .problems import load_problems
    from .prompts import choose_template
    from .run import Plan, choose_for, default_folder, identity
    from .tasks import choose_task

    names = [name for name in options.tasks.split(",") if name]
    if len(set(names)) != len(names) or not names:
        raise UsageError(f"{options.tasks!r}: name each task once, with commas between them")
    if options.data is not None and len(names) > 1:
        raise UsageError("--data: one file is one task's")
    plans: list[Plan] = []
    for name in names:
        task = choose_task(name)
        template = choose_template(task, options.prompt, system=options.system, think_prefix=options.think_prefix)
        chosen = choose_for(task)
        try:
            problems = load_problems(task, data=options.data, limit=options.limit)
            plan = Plan(task, problems, template, options.n or task.n, options.limit, Path())
            out = options.out if len(names) == 1 or options.out is None else options.out / task.name
            out = out or default_folder(identity(plan, model, sampling, chosen))
        finally:
            chosen.close()
        plans.append(Plan(task, problems, template, plan.n, options.limit, out))
    return plans


def _share_of(most: float) -> Any:
    def number(text: str) -> float:
        value = float(text)
        if not 0 <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from 0 to {most:g}")
        return value

    return number
