"""The man page nmfc(1), made of what `nmfc --help` and the help of each command say; docs/make.py writes it."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator

import click

from .. import __version__
from .bundles import Sectioned
from .main import COMMANDS, nmfc

EXITS = (  # as the README has them
    ("0", "done, or passed over by --skip-existing"),
    (
        "1",
        "some input failed, and the others are done: unreadable, too large, rank above the smaller side of V (other "
        "arrangements than rows cut it down, with a note), output exists",
    ),
    ("2", "wrong usage; an extra that is not installed"),
    ("3", "a size or quality that cannot be reached (nothing is written)"),
    ("130, 143", "interrupted; terminated, or its terminal was closed"),
    ("141", "the reader of stdout went away"),
)
VARIABLES = (
    ("NMFC_COMMAND_OPTION", "An option of a command: NMFC_COMPRESS_RANK=3 is --rank 3 of compress."),
    ("TMPDIR", "Where pictures of a large collection are decoded to."),
)
WIDTH = 72  # of a line: escapes make it longer
DATE = "2026-11-26"  # of the version's man page, which needs one
PLAIN = str.maketrans({"‖": "||", "−": "-"})  # signs that not every terminal has


def manual() -> str:
    """The page in roff, with the macros of man(7)."""
    context = click.Context(nmfc, info_name="nmfc", **nmfc.context_settings)
    title, _, rest = inspect.cleandoc(nmfc.help or "").partition("\n\n")
    lines = [
        '.\\" Made by docs/make.py of what nmfc --help says.',
        f'.TH NMFC 1 "{DATE}" "nmfcompress {__version__}" "User Commands"',
        ".nh",  # options are not broken
        ".ad l",
        ".SH NAME",
        *_filled(f"nmfc - {title[0].lower() + title[1:].rstrip('.')}"),
        ".SH SYNOPSIS",
        *_usage(nmfc, context),
        ".SH DESCRIPTION",
        *_paragraphs(rest),
        ".SH OPTIONS",
        *_options(nmfc.get_params(context), context),
        ".SH COMMANDS",
    ]
    for name in COMMANDS:
        command = nmfc.get_command(context, name)
        if command is not None:
            lines += _command(command, click.Context(command, info_name=name, parent=context))
    lines += [".SH EXIT STATUS", *(line for code, words in EXITS for line in _entry(code, words))]
    lines += [".SH ENVIRONMENT", *(line for name, words in VARIABLES for line in _entry(name, words))]
    return "\n".join(lines) + "\n"


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f".SS nmfc {_text(context.info_name or '')}"
    yield from _usage(command, context)
    yield ".PP"
    yield from _paragraphs(command.help or "")
    parameters = [one for one in command.get_params(context) if isinstance(one, click.Option)]
    if isinstance(command, Sectioned):
        for title, group in command.sections(parameters):
            yield from (".PP", f"\\fI{_text(title)}\\fR")
            yield from _options(group, context)
    else:
        yield from _options(parameters, context)
    yield ".PP"
    yield from _paragraphs(command.epilog or "")


def _usage(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f".B {_text(context.command_path)}"
    yield from _filled(" ".join(command.collect_usage_pieces(context)))


def _options(parameters: Iterable[click.Parameter], context: click.Context) -> Iterator[str]:
    for parameter in parameters:
        record = parameter.get_help_record(context)
        if record is not None:
            yield from _entry(*record)


def _entry(name: str, words: str) -> Iterator[str]:
    yield ".TP"
    yield f"\\fB{_text(name)}\\fR"
    yield from _filled(words)


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs of a docstring; those that Click leaves as they are (after a line of \\b) stay so here."""
    first = True
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if not paragraph.strip():
            continue
        if not first:
            yield ".PP"
        first = False
        if paragraph.startswith("\b"):
            yield ".nf"
            yield from (_text(line) for line in paragraph.split("\n")[1:])
            yield ".fi"
        else:
            yield from _filled(paragraph)


def _filled(words: str) -> Iterator[str]:
    """Words that roff breaks as it likes, in lines of the length that it is read in."""
    for line in textwrap.wrap(words, WIDTH, break_on_hyphens=False, break_long_words=False):
        yield _text(line)


def _text(words: str) -> str:
    """Words that roff takes for nothing else."""
    safe = words.translate(PLAIN).replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    safe = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in safe)
    return re.sub(r"^(?=\.)", r"\\&", safe)
