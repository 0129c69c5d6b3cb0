"""Verdicts and explanations as JSON objects: what files hold, and what the service answers."""

from typing import TYPE_CHECKING, Any

from .types import Verdict

if TYPE_CHECKING:
    from .math.explain import Explanation, Side

Row = dict[str, Any]


def verdict_row(verdict: Verdict) -> Row:
    """A verdict as JSON; `detail` only where there is one."""
    row: Row = {
        "score": verdict.score,
        "status": verdict.status,
        "reason": verdict.reason,
        "extracted": verdict.extracted,
        "parts": {name: verdict_row(part) for name, part in verdict.parts.items()},
    }
    return row if verdict.detail is None else {**row, "detail": verdict.detail}


def explanation_row(gold: str, text: str, why: "Explanation") -> Row:
    """An explanation as JSON; `gold` and `text` are what was given."""
    verdict = why.verdict
    return {
        "score": verdict.score,
        "status": verdict.status,
        "reason": verdict.reason,
        "sentence": why.sentence,
        "rung": why.rung,
        "detail": verdict.detail,
        "given": {"gold": gold, "answer": text, "is_a": why.found},
        "gold": _side_row(why.gold),
        "answer": _side_row(why.answer),
    }


def _side_row(side: "Side | None") -> Row | None:
    if side is None:
        return None
    return {
        "text": side.text,
        "normalised": side.normalised,
        "kind": side.kind,
        "read_as": side.infix,
        "unreadable": side.unreadable,
        "tree": list(side.outline),
    }
