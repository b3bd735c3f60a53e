"""Small pieces of SVG, escaped; charts are built from these. Colours are classes, so that light and dark both work."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from markupsafe import Markup, escape

Attribute = str | float


def _printable(text: str) -> str:
    """SVG text has no room for boxes: what cannot be seen becomes the replacement character."""
    return "".join("\ufffd" if unicodedata.category(char).startswith("C") else char for char in text)


def _attribute(value: Attribute) -> Markup:
    return escape(f"{value:g}" if isinstance(value, float) else _printable(str(value)))


def tag(name: str, *children: str, **attributes: Attribute) -> Markup:
    """One element; `_` in attribute names is `-`, a trailing `_` is dropped, children that are not Markup are escaped.

    >>> str(tag("text", "a<b", x=1.0, class_="axis", text_anchor="end"))
    '<text x="1" class="axis" text-anchor="end">a&lt;b</text>'
    """
    texts = {
        key: f"{value:g}" if isinstance(value, float) else _printable(str(value)) for key, value in attributes.items()
    }
    shown = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(text)}"' for key, text in texts.items())
    inner = "".join(child if isinstance(child, Markup) else str(escape(_printable(child))) for child in children)
    return Markup(f"<{name}{shown}>{inner}</{name}>")  # noqa: S704 - names are ours, values and children escaped


def picture(width: int, height: int, title: str, description: str, parts: Iterable[str]) -> Markup:
    """The whole drawing, with a title and a description for those who do not see it."""
    return tag(
        "svg",
        tag("title", title),
        tag("desc", description),
        *parts,
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        class_="chart",
    )


def column(x: float, y: float, width: float, height: float, class_: str, tip: str, radius: float = 3.0) -> Markup:
    """A bar that stands on its base line, with rounded upper corners and a text on hovering."""
    r = min(radius, height, width / 2)
    path = (
        f"M{x:.2f},{y + height:.2f}V{y + r:.2f}q0,{-r:.2f} {r:.2f},{-r:.2f}h{width - 2 * r:.2f}"
        f"q{r:.2f},0 {r:.2f},{r:.2f}V{y + height:.2f}z"
    )
    return tag("path", tag("title", tip), d=path, class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return tag("line", x1=round(x1, 2), y1=round(y1, 2), x2=round(x2, 2), y2=round(y2, 2), class_=class_)


def label(x: float, y: float, text: str, class_: str = "axis", anchor: str = "middle") -> Markup:
    """A text; y is its base line."""
    return tag("text", text, x=round(x, 2), y=round(y, 2), class_=class_, text_anchor=anchor)
