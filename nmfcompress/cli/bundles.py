"""Options in bundles: each ends as one value, and the help lists them bundle by bundle."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

from .checked import checked
from .completing import complete_names
from .spoken import spoken

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


class Sectioned(click.Command):
    """A command whose help lists its options bundle by bundle."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, options in self.sections(self.get_params(ctx)):
            lines = [line for option in options if (line := option.get_help_record(ctx)) is not None]
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)

    def sections(self, parameters: Iterable[click.Parameter]) -> Iterator[tuple[str, list[click.Option]]]:
        """The options bundle by bundle, each with its title; not every command has every bundle."""
        bundles = getattr(self.callback, "bundles", {})  # option: its bundle
        options = [parameter for parameter in parameters if isinstance(parameter, click.Option)]
        for name, title in TITLES.items():
            if found := [option for option in options if bundles.get(option.name or "", "talk") == name]:
                yield title, found


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
        body = checked(body)
        for one in reversed(bundles):
            body = one(body)
        body = spoken(body)
        body = click.argument("inputs", nargs=-1, metavar="INPUT...")(body)
        return complete_names(click.command(name, cls=Sectioned, epilog=epilog, no_args_is_help=True)(body))

    return decorate
