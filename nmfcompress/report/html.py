"""HTML from elements: what comes from outside is text in it, never markup."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable

from ..images.files import display

VOID = ("meta", "img", "br", "rect", "line", "polyline", "polygon", "circle")  # elements without content


class Html(str):
    """Text that is markup already; all other text is escaped where it is put."""


def tag(element: str, *children: str, **attributes: object) -> Html:
    """An element.

    Parameters
    ----------
    element : str
    children : str
        Text, in which nothing is markup or obeyed by a terminal; or Html.
    attributes
        An underscore at the end is dropped (class_), others become - (aria_label); None leaves one out, True has no
        value.
    """
    words = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    if element in VOID:
        return Html(f"<{element}{words}>" if element in ("meta", "img", "br") else f"<{element}{words}/>")
    return Html(f"<{element}{words}>{joined(children)}</{element}>")


def joined(children: Iterable[str]) -> Html:
    """Pieces one after the other."""
    return Html("".join(child if isinstance(child, Html) else text(child) for child in children))


def text(words: str) -> Html:
    """Words in which nothing is markup, and nothing is obeyed by a terminal."""
    return Html(html.escape(display(words), quote=True))


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{text(str(value))}"'


def data_uri(png: bytes) -> str:
    """A picture within the page."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
