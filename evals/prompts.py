"""From a problem to what the model is given: the wordings of the DeepSeek-R1 protocol, and one's own."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Literal, get_args

from ..verifiers.types import Problem
from .engines.types import Prompt
from .errors import UsageError
from .tasks import Shape, Task

Style = Literal["r1", "r1-zero", "plain"]
STYLES: tuple[Style, ...] = get_args(Style)
THINK_PREFIX = "<think>\n"

# DeepSeek-R1's README, usage recommendation 3; GPQA Diamond is asked in the words of simple-evals (arXiv:2501.12948v1,
# section 3); LiveCodeBench's own formats are https://github.com/LiveCodeBench/LiveCodeBench lcb_runner/prompts.
_R1: Mapping[Shape, str] = {
    "math": "{problem}\nPlease reason step by step, and put your final answer within \\boxed{}.",
    "choice": (
        "Answer the following multiple choice question. The last line of your response should be of the following "
        "format: 'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think step by step before answering."
        "\n\n{problem}"
    ),
    "function": (
        "Complete this Python function. Please reason step by step, and put the whole function, with the imports that "
        "it needs, within one ```python block.\n\n```python\n{problem}\n```"
    ),
    "assertions": ("{problem}\nPlease reason step by step, and put your final Python code within one ```python block."),
    "program": (
        "{problem}\n\nPlease reason step by step, and put your final Python program within one ```python block."
    ),
}

# arXiv:2501.12948v1, table 1: "prompt" stands there for the question.
_R1_ZERO = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant "
    "first thinks about the reasoning process in the mind and then provides the user with the answer. The reasoning "
    "process and answer are enclosed within <think> </think> and <answer> </answer> tags, respectively, i.e., <think> "
    "reasoning process here </think> <answer> answer here </answer>. User: {problem}. Assistant:"
)


@dataclass(frozen=True, slots=True)
class Template:
    """How the problems of a run are worded."""

    style: str
    """`r1`, `r1-zero`, `plain`, or `task` for a task's own prompt."""
    text: str
    """With `{problem}` where the question goes."""
    chat: bool
    """Whether it is a user's message to the model's chat template, or the whole prompt."""
    system: str | None = None
    prefix: str = ""

    def digest(self) -> str:
        """A hash of everything that the template adds to a problem."""
        return blake2b(json.dumps(asdict(self), sort_keys=True).encode(), digest_size=16).hexdigest()

    def prompt(self, problem: Problem) -> Prompt:
        """What the model is given for `problem`."""
        text = self.text.replace("{problem}", problem.prompt or "")
        if not self.chat:
            return Prompt(problem.id, text=text, prefix=self.prefix)
        system = () if self.system is None else ({"role": "system", "content": self.system},)
        return Prompt(problem.id, messages=(*system, {"role": "user", "content": text}), prefix=self.prefix)


def choose_template(
    task: Task, style: str | None, *, system: str | None = None, think_prefix: bool = False
) -> Template:
    """The template for a task; `style` None is the task's own prompt where it has one, else `r1`.

    Raises UsageError for a style that there is not, and for a system prompt where there is no chat.
    """
    prefix = THINK_PREFIX if think_prefix else ""
    if style is None and task.prompt is not None:
        return Template("task", task.prompt, chat=True, system=system, prefix=prefix)
    style = style or "r1"
    if style not in STYLES:
        raise UsageError(f"--prompt {style}: there is no such prompt; one of {', '.join(STYLES)}")
    if style == "r1-zero":
        if system is not None:
            raise UsageError("--system: the r1-zero prompt is plain text, without a chat and its system prompt")
        return Template(style, _R1_ZERO, chat=False, prefix=prefix)
    text = _R1[task.shape] if style == "r1" else "{problem}"
    return Template(style, text, chat=True, system=system, prefix=prefix)
