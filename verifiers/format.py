"""Does a completion have the form that was asked for? Tags once and in order, and nothing outside them."""

import re
from itertools import pairwise
from typing import Literal, get_args

from .types import Completion, Problem, Verdict, correct

Style = Literal["tags", "chat"]
STYLES: tuple[Style, ...] = get_args(Style)

_Fault = tuple[str, str]  # reason, detail
_NAME = re.compile(r"[^<>/\s]+")


def verify_format(
    problem: Problem,
    completion: Completion,
    /,
    *,
    tags: tuple[str, str] = ("think", "answer"),
    style: Style = "tags",
    prefilled: bool = False,
    partial_credit: bool = False,
) -> Verdict:
    """1 when the completion is well formed, else 0. The problem is not looked at.

    Style "tags" (DeepSeek-R1-Zero): `<think>…</think>`, then `<answer>…</answer>`, each tag exactly once, neither
    section empty, nothing but white space outside. Style "chat" (DeepSeek-R1): `<think>…</think>` exactly once and not
    empty, nothing but white space before it, and text after it. `tags` are the two names, matched to the letter (chat
    style uses the first). `prefilled`: the prompt already ended in the opening think tag, as R1's chat template does,
    and the completion must not open it again. `extracted` is the answer section (chat: what follows the thought),
    stripped.

    `partial_credit` scores the share of conditions that hold: each tag that the completion owes stands exactly once
    (4; chat 2; one less when prefilled), the tags are in order, nothing stands outside, there is a thought, there is an
    answer. The last four can hold only where every tag does, so a tag that is missing or repeated costs them too: only
    a well-formed completion scores 1, and a tag more never earns. `status` is the same with and without it.

    A completion that was cut (`finished` is False) while its last section was open has status `truncated`.

    Raises ValueError for an unknown style, or tags that are not two different names.
    Source: DeepSeek-R1, arXiv:2501.12948, table 1 (the template) and section 2.2.2 (the format reward).

    >>> from rlvr.verifiers import Completion, Problem, verify_format
    >>> verify_format(Problem("1"), Completion("<think>2+2</think> <answer>4</answer>")).extracted
    '4'
    >>> verify_format(Problem("1"), Completion("2+2</think>4"), style="chat", prefilled=True).reason
    'well_formed'
    >>> verify_format(Problem("1"), Completion("<think>2+2</think><answer>4"), partial_credit=True).score
    0.375
    """
    marks = _marks(tags, style)
    text = marks[0] + completion.text if prefilled else completion.text
    outside, thought, answer = _sections(text, marks)
    owed = marks[1:] if prefilled else marks
    faults = [_tag_fault(text, mark) for mark in owed]
    # Without its tags a text has no sections: what comes next holds only where they do.
    broken = next(filter(None, faults), None) or _order_fault(text, marks)
    faults += [broken] * 4 if broken else [None, _outside_fault(outside), *_empty_faults(thought, answer, marks)]
    fault = next(filter(None, faults), None)
    if fault is None:
        return correct("well_formed", answer.strip())
    reason, detail = fault
    score = faults.count(None) / len(faults) if partial_credit else 0.0
    closed = marks[-1] in text and (style == "tags" or bool(answer.strip()))
    if completion.finished is False and not closed:
        return Verdict(score, "truncated", "cut_off", detail=detail)
    return Verdict(score, "wrong", reason, detail=detail)


def _marks(tags: tuple[str, str], style: Style) -> tuple[str, ...]:
    """The tags that have to stand in the text, in order: four, in chat style two."""
    if style not in STYLES:
        raise ValueError(f"style is one of {', '.join(STYLES)}, not {style!r}")
    if len(tags) != 2 or tags[0] == tags[1] or not all(_NAME.fullmatch(name) for name in tags):
        raise ValueError(f"tags are two different names such as ('think', 'answer'), not {tags!r}")
    marks = tuple(f"<{slash}{name}>" for name in tags for slash in ("", "/"))
    return marks if style == "tags" else marks[:2]


def _sections(text: str, marks: tuple[str, ...]) -> tuple[list[str], str, str]:
    """(what stands outside the sections, the thought, the answer), as far as the marks are there."""
    parts: list[str] = []
    for mark in marks:
        part, _, text = text.partition(mark)
        parts.append(part)
    if len(marks) == 2:
        return parts[:1], parts[1], text
    return [parts[0], parts[2], text], parts[1], parts[3]


def _tag_fault(text: str, mark: str) -> _Fault | None:
    count = text.count(mark)
    if count == 0:
        return "missing_tag", f"no {mark}"
    return None if count == 1 else ("repeated_tag", f"{mark} stands {count} times")


def _order_fault(text: str, marks: tuple[str, ...]) -> _Fault | None:
    if text.count(marks[0]) > 1:  # prefilled, and opened again: no fault of a tag that the completion owes
        return "repeated_tag", f"{marks[0]} stands in the completion though the prompt ended in it"
    for earlier, later in pairwise(marks):
        if text.find(later) < text.find(earlier):
            return "wrong_order", f"{later} stands before {earlier}"
    return None


def _outside_fault(outside: list[str]) -> _Fault | None:
    stray = next(filter(None, (part.strip() for part in outside)), None)
    return ("text_outside", f"outside the tags: {stray[:40]!r}") if stray else None


def _empty_faults(thought: str, answer: str, marks: tuple[str, ...]) -> tuple[_Fault | None, _Fault | None]:
    where = f"in {marks[2]}" if len(marks) == 4 else f"after {marks[1]}"
    return (
        None if thought.strip() else ("empty_section", f"nothing in {marks[0]}"),
        None if answer.strip() else ("empty_section", f"nothing {where}"),
    )
