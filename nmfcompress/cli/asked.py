"""The command that runs, as a shell takes it again."""

from __future__ import annotations

import os
import shlex

import click
from click.core import ParameterSource

from ..images.files import display


def command_line() -> str:
    """The command with its arguments, and before it the variables that it read in place of options.

    Words with characters that a terminal obeys are written as Bash, zsh and ksh have them: $'\\x1b'.
    """
    context = click.get_current_context()
    words: list[str] = list(context.find_root().obj or ())
    read = [
        option.resolve_envvar_value(context) and _variable(option, context)
        for option in context.command.params
        if option.name and context.get_parameter_source(option.name) is ParameterSource.ENVIRONMENT
    ]
    set_ = [f"{name}={quoted(os.environ[name])}" for name in read if name]
    return " ".join([*set_, "nmfc", *map(quoted, words)])


def _variable(option: click.Parameter, context: click.Context) -> str:
    return f"{context.auto_envvar_prefix}_{(option.name or '').upper()}"


def quoted(word: str) -> str:
    """A word that a shell takes for this one."""
    if display(word) == word:
        return shlex.quote(word)
    return "$'" + "".join(_safe(char) for char in word) + "'"


def _safe(char: str) -> str:
    if char in "'\\":
        return "\\" + char
    if display(char) == char:
        return char
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(char))
