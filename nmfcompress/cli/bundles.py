"""Options in bundles: each ends as one value, and the help lists them bundle by bundle."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from .spoken import spoken

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


class Sectioned(click.Command):
    """A command whose help lists its options bundle by bundle."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {name: [] for name in TITLES}
        bundles = getattr(self.callback, "bundles", {})  # option: its bundle
        for parameter in self.get_params(ctx):
            line = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if line is not None:
                sections[bundles.get(parameter.name or "", "talk")].append(line)
        for name, lines in sections.items():
            if lines:  # not every command has every bundle
                with formatter.section(TITLES[name]):
                    formatter.write_dl(lines)


TITLES = {
    "fit": "Factorizing",
    "course": "Beginning with a file",
    "packing": "Into one file, -o FILE.nmfc",
    "scheduler": "Past one machine",
    "comparing": "Comparing",
    "ranking": "Ranks",
    "drawing": "Drawing",
    "decoding": "Decoding",
    "reading": "Reading",
    "selection": "Choosing from an archive",
    "writing": "Writing",
    "talk": "Saying",
}


def bundle(name: str, build: Callable[..., Any], *options: Decorator) -> Decorator:
    """Gather the values of `options` into one argument `name`, made by `build` from what they are called."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def gathered(**values: Any) -> Any:
            values[name] = build(**{own: values.pop(own) for own in owned})
            return command(**values)

        before = len(getattr(command, "__click_params__", []))
        decorated: Command = gathered
        for option in reversed(options):
            decorated = option(decorated)
        owned = [p.name for p in decorated.__click_params__[before:]]  # type: ignore[attr-defined]
        decorated.__dict__["bundles"] = getattr(command, "bundles", {}) | dict.fromkeys(owned, name)
        return decorated

    return decorate


def default(kind: type, field: str) -> Any:
    """The default of a settings field, so that it is said once."""
    return kind.__dataclass_fields__[field].default  # type: ignore[attr-defined]


def choice(*names: str) -> click.Choice[str]:
    return click.Choice(names)


def command(name: str, epilog: str, *bundles: Decorator) -> Callable[[Command], click.Command]:
    """A command with INPUTS and the given bundles."""

    def decorate(body: Command) -> click.Command:
        for one in reversed(bundles):
            body = one(body)
        body = spoken(body)
        body = click.argument("inputs", nargs=-1, metavar="INPUT...")(body)
        return click.command(name, cls=Sectioned, epilog=epilog, no_args_is_help=True)(body)

    return decorate
