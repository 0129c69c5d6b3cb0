"""What a run trains on and is evaluated on: problems, their wording, and the order in which they come."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from ..evals.errors import UsageError
from ..evals.problems import load_problems
from ..evals.prompts import Template, choose_template
from ..evals.tasks import Task, choose_task
from ..verifiers.types import Problem
from .config import PRESETS, Config
from .policy import Tokenizer
from .puzzles import PUZZLES


@dataclass(frozen=True, slots=True)
class Question:
    """A problem, and the prompt that asks it, whose end `prefix` counts as the beginning of the answer."""

    problem: Problem
    prompt: str
    prefix: str
    ids: list[int]


@dataclass(frozen=True, slots=True)
class Data:
    """`train` in the order of the source, `held_out` what no training step sees."""

    train: tuple[Question, ...]
    held_out: tuple[Question, ...]

    def at(self, seed: int, start: int, count: int) -> list[Question]:
        """Questions number `start` to `start + count - 1` of an endless stream, shuffled anew each time through."""
        size = len(self.train)
        places = (divmod(position, size) for position in range(start, start + count))
        return [self.train[_order(size, seed, epoch)[place]] for epoch, place in places]


@lru_cache(maxsize=2)  # a step lies in one time through, or at the end of one and the beginning of the next
def _order(size: int, seed: int, epoch: int) -> list[int]:
    order = list(range(size))
    random.Random(f"order {seed} {epoch}").shuffle(order)
    return order


def load_data(config: Config, tokenizer: Tokenizer) -> Data:
    """Raises UsageError for what cannot be read, and where nothing is left to train on."""
    if config.task in PUZZLES:
        puzzle = PUZZLES[config.task]
        train = [_plain(problem, tokenizer) for problem in puzzle.train()]
        held_out = [_plain(problem, tokenizer) for problem in puzzle.held_out()[: config.held_out]]
        return Data(tuple(train), tuple(held_out))
    questions = _questions(config, config.task, config, tokenizer)
    if config.eval_task is not None:
        held_out = _questions(replace(config, data=config.eval_data), config.eval_task, config, tokenizer)
    else:
        random.Random(f"held out {config.seed}").shuffle(questions)
        held_out, questions = questions[: config.held_out], questions[config.held_out :]
    if not questions:
        raise UsageError(f"task {config.task}: held_out = {config.held_out} leaves no problem to train on")
    return Data(tuple(questions), tuple(held_out))


def _questions(source: Config, name: str, config: Config, tokenizer: Tokenizer) -> list[Question]:
    own = PRESETS / "tasks" / f"{name}.toml"
    task = choose_task(str(own) if own.is_file() else name)
    template = choose_template(task, config.prompt, think_prefix=config.think_prefix)
    return [_worded(problem, template, tokenizer) for problem in _loaded(task, source)]


def _loaded(task: Task, source: Config) -> Sequence[Problem]:
    return load_problems(task, data=source.data).asked


def _plain(problem: Problem, tokenizer: Tokenizer) -> Question:
    text = problem.prompt or ""
    return Question(problem, text, "", tokenizer.encode(text))


def _worded(problem: Problem, template: Template, tokenizer: Tokenizer) -> Question:
    prompt = template.prompt(problem)
    text = tokenizer.render(prompt.messages) if prompt.messages else prompt.text or ""
    text += prompt.prefix
    return Question(problem, text, prompt.prefix, tokenizer.encode(text))
