"""HTML whose text cannot be markup: what `h` is given is escaped unless `h` made it."""

from collections.abc import Mapping
from html import escape


class Html(str):
    """Markup that is already safe; only `h` makes it."""

    __slots__ = ()


_VOID = frozenset({"br"})


def h(tag: str, attributes: Mapping[str, str | float | None], *children: str) -> Html:
    """An element; attributes that are None are left out, children that are no `Html` are text. No tag: a mere sequence.

    >>> h("p", {"title": 'a "b"', "id": None}, "1 < 2", h("b", {}, "&"))
    '<p title="a &quot;b&quot;">1 &lt; 2<b>&amp;</b></p>'
    """
    inside = "".join(child if isinstance(child, Html) else escape(child) for child in children)
    if not tag:
        return Html(inside)
    given = "".join(f' {name}="{escape(str(value))}"' for name, value in attributes.items() if value is not None)
    return Html(f"<{tag}{given}>" if tag in _VOID else f"<{tag}{given}>{inside}</{tag}>")
