"""What every page of ours is: whole, and readable by anyone, by anything, offline."""

from __future__ import annotations

import base64
import io
import re
import unicodedata
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise

from PIL import Image

VOID = {"meta", "img", "br", "link", "input", "hr"}
KNOWN = {
    *("html", "head", "meta", "title", "style", "body", "header", "nav", "main", "section", "h1", "h2", "h3", "p"),
    *("a", "ul", "li", "figure", "figcaption", "img", "div", "pre", "code", "details", "summary"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("svg", "desc", "g", "line", "text", "polyline", "polygon", "circle", "rect"),
}


@dataclass
class Element:
    name: str
    attributes: dict[str, str | None]
    children: list[Element] = field(default_factory=list)
    words: str = ""

    def all(self, name: str | None = None) -> list[Element]:
        found = [self] if name in (None, self.name) else []
        return found + [element for child in self.children for element in child.all(name)]

    @property
    def text(self) -> str:
        return self.words + "".join(child.text for child in self.children)


class Tree(HTMLParser):
    """The elements of a page, each of which must be closed where it should be."""

    def __init__(self, page: str):
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self._open = [self.root]
        self.feed(page)
        self.close()
        assert self._open == [self.root], f"{self._open[-1].name} is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"{tag} has an attribute twice"
        element = Element(tag, dict(attrs))
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().name == tag, f"{tag} is closed, and was not the last to be opened"

    def handle_data(self, data: str) -> None:
        self._open[-1].words += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)


def looked_at(page: bytes) -> Element:
    """The page as a tree, after all that holds for any page has been asserted."""
    text = page.decode("utf-8")
    assert text.startswith("<!doctype html>\n")
    odd = {c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp", "Cf")}
    assert not odd
    root = Tree(text).root
    elements = root.all()[1:]
    assert {element.name for element in elements} <= KNOWN
    html = root.children[0]
    assert (html.name, html.attributes) == ("html", {"lang": "en"})
    assert [child.name for child in html.children] == ["head", "body"]
    assert len(root.all("title")) == 1 + len(root.all("svg")) - len(swatches(root))
    _loads_nothing(elements)
    _has_its_ids(elements)
    _headings_in_order(elements)
    for element in root.all("img"):
        assert element.attributes["alt"]
        _shows(element)
    for table in root.all("table"):
        assert table.children[0].name == "caption"
        assert all(cell.attributes["scope"] in ("row", "col") for cell in table.all("th"))
        assert len({len(row.children) for row in table.all("tr")}) == 1
        assert all(row.children[0].name == "th" for row in table.all("tr"))
    for figure in root.all("figure"):
        assert figure.children[-1].name == "figcaption"
        assert figure.children[-1].text.strip()
    for svg in root.all("svg"):
        assert (svg.attributes.get("role") == "img") != (svg.attributes.get("aria-hidden") == "true")
    return root


def swatches(root: Element) -> list[Element]:
    return [svg for svg in root.all("svg") if svg.attributes.get("aria-hidden") == "true"]


def _loads_nothing(elements: list[Element]) -> None:
    (policy,) = [e for e in elements if e.attributes.get("http-equiv")]
    assert policy.attributes["http-equiv"] == "Content-Security-Policy"
    assert "default-src 'none'" in (policy.attributes["content"] or "")
    for element in elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on"), f"{element.name} has {name}"
            assert name not in ("srcset", "action", "xlink:href", "data", "poster", "background")
            if name == "src":
                assert re.fullmatch(r"data:image/png;base64,[A-Za-z0-9+/]+=*", value or "")
            if name == "href":
                assert (value or "").startswith("#")
            if name == "style":
                assert re.fullmatch(r"(stroke|fill):var\(--c[0-4]\)", value or "")
    (style,) = [e for e in elements if e.name == "style"]
    assert "url(" not in style.text
    assert "@import" not in style.text


def _has_its_ids(elements: list[Element]) -> None:
    ids = [e.attributes["id"] for e in elements if "id" in e.attributes]
    assert len(set(ids)) == len(ids)
    named = {(e.attributes.get("href") or "#")[1:] for e in elements} - {""}
    named |= {one for e in elements for one in (e.attributes.get("aria-labelledby") or "").split()}
    assert named <= set(ids)


def _headings_in_order(elements: list[Element]) -> None:
    levels = [int(e.name[1]) for e in elements if re.fullmatch("h[1-6]", e.name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def _shows(element: Element) -> None:
    """Its bytes are a picture of the size that it is said to have, or of a whole fraction of it."""
    data = base64.b64decode((element.attributes["src"] or "").partition(",")[2])
    with Image.open(io.BytesIO(data)) as shown:
        shown.load()
        width, height = int(element.attributes["width"] or 0), int(element.attributes["height"] or 0)
        assert width % shown.width == 0
        assert (width // shown.width) * shown.height == height
        assert (element.attributes.get("class") == "pixels") == (width > shown.width)


def command_of(root: Element) -> str:
    (pre,) = root.all("pre")
    return pre.text
