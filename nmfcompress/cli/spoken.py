"""Errors of usage in the words of the command line: settings are called by their options."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any

import click

from ..errors import UsageError


def spoken(body: Callable[..., Any]) -> Callable[..., Any]:
    """The same command, whose errors of usage are about options."""

    @functools.wraps(body)
    def said(**values: Any) -> Any:
        try:
            return body(**values)
        except UsageError as error:
            error.message = in_options(error.message, click.get_current_context().command.params)
            raise

    return said


def in_options(message: str, parameters: Iterable[click.Parameter]) -> str:
    """A message of settings.py and the rooms behind it: `min_psnr is 0 ...` becomes `--min-psnr is 0 ...`."""
    for option in parameters:
        if not isinstance(option, click.Option):
            continue
        name, said = option.name, max(option.opts, key=len)
        message = re.sub(rf"^(?:\w+ \()?{name}\b\)?(?= is )", said, message)
        message = re.sub(rf"\bgiven with {name}\b", f"given with {said}", message)
        if isinstance(option.type, click.Choice):
            message = re.sub(rf"(?<!-)\b{name} (?={'|'.join(option.type.choices)})", f"{said} ", message)
    return message
