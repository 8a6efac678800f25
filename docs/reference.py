"""The reference, made of what the program says: Click's help texts, and the docstrings of the public names."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import click

import nmfcompress
from nmfcompress.cli.main import COMMANDS, nmfc

HEAD = """# Reference

Made by `make docs` from the help texts and the docstrings; corrections belong there. What files hold and what is
promised about them stands in the [README](../README.md#inputs), the bytes of a `.nmfc` in [format.md](format.md).
"""
WIDTH = 100  # columns of the terminal, as in the README; Click leaves two of them free


def commands() -> str:
    """The help of the program, and of every command."""
    top = click.Context(nmfc, info_name="nmfc", terminal_width=WIDTH - 2, **nmfc.context_settings)
    texts = [f"## Commands\n\n### nmfc\n\n```text\n{nmfc.get_help(top)}\n```\n"]
    for name in COMMANDS:
        command = nmfc.get_command(top, name)
        if command is None:
            raise LookupError(f"{name} is listed and cannot be found")
        said = command.get_help(click.Context(command, info_name=name, parent=top))
        texts.append(f"### nmfc {name}\n\n```text\n{said}\n```\n")
    return "\n".join(texts)


def python() -> str:
    """Every public name: its signature, its docstring, and those of its methods."""
    texts = ["## Python\n\nAll of these are names of `nmfcompress`; everything raised on purpose is an `NmfcError`.\n"]
    for name in sorted(set(nmfcompress.__all__) - {"__version__"}, key=str.lower):
        texts.append(told(name, getattr(nmfcompress, name)))
    return "\n".join(texts)


def told(name: str, thing: object) -> str:
    """One name as a chapter."""
    said = inspect.getdoc(thing) or ""
    if not said:
        raise LookupError(f"nmfcompress.{name} has no docstring")
    lines = [f"### {name}\n", "```text"]
    if callable(thing) and not (isinstance(thing, type) and issubclass(thing, Exception)):
        lines += [f"{name}{signature(thing)}", ""]
    lines.append(said)
    if isinstance(thing, type):
        for member, value in sorted(vars(thing).items()):
            text = None if member.startswith("_") else own(value)
            if text:
                lines += ["", f".{member}", *("    " + line if line else "" for line in text.splitlines())]
    return "\n".join([*lines, "```\n"])


def own(value: object) -> str | None:
    """The docstring of a method or a property, of nothing else."""
    return inspect.getdoc(value) if inspect.isfunction(value) or isinstance(value, property) else None


def signature(thing: Callable[..., object]) -> str:
    """A parameter a line, where one line is too short; annotations are strings, shown without their quotes."""
    signed = inspect.signature(thing)
    parts, starred = [], False
    for parameter in signed.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        shown = parameter.replace(annotation=parameter.empty, default=parameter.empty)
        of_type = "" if parameter.annotation is parameter.empty else f": {parameter.annotation}"
        value = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        parts.append(f"{shown}{of_type}{value}")
    result = signed.return_annotation
    end = ")" if result is signed.empty or isinstance(thing, type) else f") -> {result}"
    line = f"({', '.join(parts)}{end}"
    return line if len(line) <= WIDTH else "(\n" + "".join(f"    {part},\n" for part in parts) + end


def reference() -> str:
    """The whole page."""
    return f"{HEAD}\n{commands()}\n{python()}"
