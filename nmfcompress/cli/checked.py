"""What makes no sense in any command: a name that is empty, two things that would both write to stdout."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from ..errors import UsageError
from ..images.files import descriptor, display, file_id, is_file

NAMES = {"basis_from", "file", "files_from", "folder", "mask"}  # options that take one


def checked(body: Callable[..., Any]) -> Callable[..., Any]:
    """The same command, which begins only where its names are names, and stdout takes one thing.

    Raises
    ------
    UsageError
    """

    @functools.wraps(body)
    def begun(**values: Any) -> Any:
        context = click.get_current_context()
        for option in context.command.params:
            if option.name in NAMES and context.params.get(option.name) == "":
                raise UsageError(f"{max(option.opts, key=len)} is empty (expected a name)")
        writing = values.get("writing")
        if writing is not None and values["talk"].json:
            for said, path in (("-o", writing.file), ("--report", writing.report and writing.report.path)):
                if path and _is_stdout(path):
                    raise UsageError(f"{said} {display(path)} and --json would both write to stdout")
        return body(**values)

    return begun


def _is_stdout(path: str) -> bool:
    try:
        return descriptor(path) == 1 or (is_file(1) and file_id(path) == file_id(1))
    except (OSError, ValueError):
        return False
