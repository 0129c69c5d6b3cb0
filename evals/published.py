"""Published figures beside measured ones, and what makes a measured one differ from them.

The table holds what DeepSeek-AI published of R1, R1-Zero and the six distilled models, each with the table that it
stands in. R1-Zero has two: the second version of the paper evaluated it anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from math import sqrt
from typing import Any

from .engines.types import Sampling

PROTOCOL = Sampling()
TRUNCATION_LIMIT = 0.05


@dataclass(frozen=True, slots=True)
class Figure:
    """One published number: a share of 1."""

    model: str
    task: str
    metric: str
    """`pass@1` or `cons@64`."""
    value: float
    source: str


_COLUMNS = (
    ("aime24", "pass@1"), ("aime24", "cons@64"), ("math500", "pass@1"), ("gpqa_diamond", "pass@1"),
    ("livecodebench", "pass@1"),
)  # fmt: skip
_V1 = "arXiv:2501.12948v1, table {}"
_NATURE = "Nature 645 (2025), doi:10.1038/s41586-025-09422-z, table 2"
# Percent, in the order of _COLUMNS; None where the source gives none. Tables 2, 4 and 5 of version 1; the model cards
# of https://github.com/deepseek-ai/DeepSeek-R1 repeat tables 4 and 5.
_TABLE: Sequence[tuple[str, str, tuple[float | None, ...]]] = (
    ("DeepSeek-R1", _V1.format(4), (79.8, None, 97.3, 71.5, 65.9)),
    ("DeepSeek-R1-Zero", _V1.format(2), (71.0, 86.7, 95.9, 73.3, 50.0)),
    ("DeepSeek-R1-Zero", _NATURE, (77.9, None, 95.9, 75.8, 50.0)),
    ("DeepSeek-R1-Distill-Qwen-1.5B", _V1.format(5), (28.9, 52.7, 83.9, 33.8, 16.9)),
    ("DeepSeek-R1-Distill-Qwen-7B", _V1.format(5), (55.5, 83.3, 92.8, 49.1, 37.6)),
    ("DeepSeek-R1-Distill-Qwen-14B", _V1.format(5), (69.7, 80.0, 93.9, 59.1, 53.1)),
    ("DeepSeek-R1-Distill-Qwen-32B", _V1.format(5), (72.6, 83.3, 94.3, 62.1, 57.2)),
    ("DeepSeek-R1-Distill-Llama-8B", _V1.format(5), (50.4, 80.0, 89.1, 49.0, 39.6)),
    ("DeepSeek-R1-Distill-Llama-70B", _V1.format(5), (70.0, 86.7, 94.5, 65.2, 57.5)),
)
PUBLISHED: tuple[Figure, ...] = tuple(
    Figure(model, task, metric, round(value / 100, 6), source)
    for model, source, values in _TABLE
    for (task, metric), value in zip_longest(_COLUMNS, values)
    if value is not None
)


def figures(model: str, task: str) -> list[Figure]:
    """What was published of a model on a task. A path counts by its last part, upper and lower case as one.

    >>> [figure.value for figure in figures("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "aime24")]
    [0.289, 0.527]
    """
    name = model.rstrip("/").rpartition("/")[2].lower()
    return [figure for figure in PUBLISHED if figure.task == task and figure.model.lower() == name]


def beside(model: str, task: str, summary: Mapping[str, Any], n: int, published_n: int | None) -> list[dict[str, Any]]:
    """Each published figure with the measured one: `measured`, `difference`, `stderr`, `in_stderrs`; None: not known.

    Both sides are about the same problems, so `stderr` is what sampling alone makes the difference of two such means
    vary by: the deviation between runs over the root of their number, n for ours and `published_n` for theirs. cons@k
    has one vote per problem: there it is the error over problems, which is larger.
    """
    rows: list[dict[str, Any]] = []
    for figure in figures(model, task):
        kind, _, k = figure.metric.partition("@")
        found = summary["score"] if figure.metric == "pass@1" else summary.get(f"{kind}@k", {}).get(k)
        row = {**asdict(figure), "measured": None, "difference": None, "stderr": None, "in_stderrs": None}
        if found is not None:
            deviation = summary["run_deviation"]
            sampled = None if deviation is None else deviation * sqrt(1 / n + 1 / (published_n or n))
            stderr = sampled if figure.metric == "pass@1" else found["stderr"]
            row["measured"], row["stderr"] = found["mean"], stderr
            row["difference"] = found["mean"] - figure.value
            row["in_stderrs"] = row["difference"] / stderr if stderr else None
        rows.append(row)
    return rows


def warnings(manifest: Mapping[str, Any], summary: Mapping[str, Any]) -> list[str]:
    """What makes the number of a run differ from one by the DeepSeek-R1 protocol, one sentence each."""
    task, prompt, sampling, run = manifest["task"], manifest["prompt"], manifest["sampling"], summary["run"]
    said: list[str] = []
    if run["missing"]:
        said.append(
            f"{run['missing']:,} of {run['expected']:,} samples are missing and count nowhere: the number is of the "
            "others; give the same command again to ask for them"
        )
    if task["limit"] is not None and task["limit"] < task["problems"]:
        said.append(f"only the first {task['limit']} of {task['problems']:,} problems were asked")
    if task["size"] is not None and task["size"] != task["problems"]:
        said.append(f"{task['source']} has {task['problems']:,} problems; {task['name']} has {task['size']:,}")
    if sampling["temperature"] == 0:
        again = ", and several samples of a problem are mere copies" if task["n"] > 1 else ""
        said.append(f"greedy decoding: the protocol samples at temperature {PROTOCOL.temperature:g}{again}")
    elif (sampling["temperature"], sampling["top_p"]) != (PROTOCOL.temperature, PROTOCOL.top_p):
        said.append(
            f"temperature {sampling['temperature']:g} and top-p {sampling['top_p']:g}; the protocol has "
            f"{PROTOCOL.temperature:g} and {PROTOCOL.top_p:g}"
        )
    if prompt["system"] is not None:
        said.append("a system prompt: the protocol has none")
    if prompt["style"] != "r1":
        plain = "" if prompt["chat"] else ", without the model's chat template"
        said.append(f"prompt {prompt['style']}{plain}: the protocol's is r1")
    if sampling["max_tokens"] < PROTOCOL.max_tokens:
        said.append(f"at most {sampling['max_tokens']:,} new tokens; the protocol allows {PROTOCOL.max_tokens:,}")
    if (summary["truncation"]["rate"] or 0) > TRUNCATION_LIMIT:
        said.append(f"{summary['truncation']['rate']:.1%} of the completions were cut at the length limit")
    if task["published_n"] is not None and task["n"] < task["published_n"]:
        said.append(f"{task['n']} samples per problem; the published figures have {task['published_n']}")
    return said
