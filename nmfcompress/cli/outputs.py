"""Where outputs go: names that cannot collide, files that are not overwritten by accident."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from ..errors import OutputError, UsageError, about
from ..images.archives import labels_beside
from ..images.files import (
    FileId,
    descriptor,
    display,
    file_id,
    fit_name,
    locked,
    make_folder,
    output_errors,
    regular_id,
    write_bytes,
)  # fmt: skip
from ..images.files import writing as written_whole
from ..images.saving import KINDS
from ..images.stacks import ENDINGS
from ..report.records import Curve, Log, head_of
from ..settings import Writing
from .inputs import STDIN, Source, check_redirected
from .streams import give

FORMATS = {name: kind.format for name, kind in KINDS.items()} | {name: name for name in ("nmfc", "npz", "npy")}


def check_file(writing: Writing) -> None:
    """-o: it is in no other folder, and its ending and --to do not say two kinds.

    Raises
    ------
    UsageError
    """
    if writing.folder != Writing.folder:
        raise UsageError("-o writes only the file it names; it does not go with -O")
    ending = os.path.splitext(writing.file or "")[1][1:].lower()
    named, asked = FORMATS.get(ending), FORMATS.get(writing.kind or "")
    if named and asked and named != asked:
        raise UsageError(f"-o ends in .{ending}, and --to says {writing.kind} (expected one kind)")


class Outputs:
    """The outputs of one run.

    Parameters
    ----------
    writing : Writing
    sources : sequence of Source
        The inputs: none of them is ever written to, nor are labels beside them.
    *also : str or None
        More files that are none of the inputs, but read.

    Raises
    ------
    OutputError
        stdout or stderr is redirected to one of them.
    """

    def __init__(self, writing: Writing, sources: Sequence[Source], *also: str | None):
        self.writing = writing
        paths = [path for path in (*(source.path for source in sources), *also) if path]
        arrays = [path for path in paths if os.path.splitext(path)[1].lower() not in ENDINGS]
        paths += [labels for path in arrays if (labels := labels_beside(path))]
        self.inputs = {found for path in paths if (found := _input_id(path)) is not None}
        check_redirected(self.inputs)
        self._claimed: set[str] = set()
        self._made: set[str] = set()  # folders

    def beside(self, source: Source, stem: str, ending: str) -> str:
        """The path of an output of one source: below the folder as the source is below its own."""
        return os.path.join(self.writing.folder, source.folder, fit_name(stem, ending))

    def at_root(self, name: str) -> str:
        """The path of an output of the whole run."""
        return os.path.join(self.writing.folder, name)

    def wanted(self, paths: Sequence[str], unique: bool = False) -> list[str]:
        """Those of `paths` that are to be written, checked before any work; none is left when all may be passed over.

        `unique`: no later output can have one of these names, of which no account need be kept then.

        Raises
        ------
        OutputError
            One exists without -f, or is an input, or another input of this run has it.
        """
        left = []
        for path in paths:
            if path in self._claimed:
                raise OutputError("is an output of this run already, for another input", display(path))
            if file_id(path) in self.inputs:
                raise OutputError("is an input, which is never overwritten", display(path))
            there = os.path.lexists(path) and (not os.path.exists(path) or os.path.isfile(path))
            there = there and descriptor(path) is None  # /dev/stdout exists because the shell has opened it
            if there and self.writing.skip_existing:
                continue
            if there and not self.writing.overwrite:
                raise OutputError("exists (pass -f to overwrite it, or --skip-existing)", display(path))
            left.append(path)
        if not unique:
            self._claimed.update(left)
        return left

    def has(self, path: str) -> bool:
        """Whether it is an output of this run already."""
        return path in self._claimed

    def keep(self, path: str, others: Sequence[str], again: bool) -> None:
        """Make way for a file that the run writes over and over, beside its outputs `others`.

        Raises
        ------
        OutputError
            It is one of them, or an input, or exists without -f and not from this run (`again`).
        """
        with output_errors(path):
            if os.path.realpath(path) in {os.path.realpath(other) for other in (*others, self.at_root("loss.csv"))}:
                raise OutputError("is an output of this run already (name another file)")
            if file_id(path) in self.inputs:
                raise OutputError("is an input, which is never overwritten")
            if os.path.isfile(path) and not again and not self.writing.overwrite:
                raise OutputError("exists (go on from it with --resume, or pass -f to overwrite it)")
        if os.path.dirname(path):
            make_folder(os.path.dirname(path))

    def write(self, path: str, data: bytes) -> None:
        """Write one output, whole or not at all; or to stdout."""
        if path == STDIN:
            give(data)
            return
        folder = os.path.dirname(path)
        if folder and folder not in self._made:
            make_folder(folder)
            self._made.add(folder)
        write_bytes(path, data, overwrite=self.writing.overwrite, inputs=self.inputs)

    def check_log(self) -> None:
        """Raise OutputError where the folder's loss.csv is some other file, before any work."""
        path = self.at_root("loss.csv")
        if "csv" in self.writing.what and self.writing.file is None and os.path.lexists(path):
            with about(display(path)), _lines_of(path) as lines:
                head_of(csv.reader(lines))

    def log(self, curves: Sequence[Curve]) -> str | None:
        """Merge `curves` into the folder's loss.csv; its path, or None when there is nothing to log."""
        if not curves:
            return None
        with Log(curves) as log:
            return self.merge(log)

    def merge(self, log: Log) -> str:
        """Merge a log into the folder's loss.csv; its path."""
        path = self.at_root("loss.csv")
        make_folder(self.writing.folder)
        with (
            about(display(path)),
            locked(self.writing.folder),
            _lines_of(path) as old,
            written_whole(path, inputs=self.inputs) as stream,
        ):
            stream.writelines(log.merged(old))
        return path


def _input_id(path: str) -> FileId | None:
    return file_id(path) if path != STDIN else regular_id(0)


@contextmanager
def _lines_of(path: str) -> Iterator[Iterable[str]]:
    """The lines of a log that is there already; anything but a regular file is none."""
    if not os.path.exists(path):
        yield ()
        return
    if not os.path.isfile(path):
        raise OutputError("exists and is no regular file; move it away")
    try:
        file = open(path, encoding="utf-8", errors="surrogateescape", newline="")  # noqa: SIM115
    except OSError as error:
        raise OutputError(f"cannot be read: {error.strerror}") from None
    with file:
        yield file


def stems(sources: Sequence[Source], plotted: bool = False) -> dict[Source, str]:
    """A stem for each source, its full name where two in one folder share one.

    Raises
    ------
    UsageError
        Even the full names are the same, or one's picture is another's basis or comparison, or what is `plotted`.
    """
    by_stem: dict[tuple[str, str], list[Source]] = defaultdict(list)
    for source in sources:
        by_stem[source.folder, source.stem].append(source)
    chosen = {s: s.stem if len(same) == 1 else s.name for same in by_stem.values() for s in same}
    taken: dict[tuple[str, str], Source] = {}
    for source, stem in chosen.items():
        if plotted and (source.folder, stem) == ("", "loss"):
            raise UsageError(f"{display(source.path)} and --plot would both write loss.png (pass --no-plot)")
        for ending in ("", ".basis", ".compare"):
            key = (source.folder, stem + ending)
            if key in taken:
                a, b = display(taken[key].path), display(source.path)
                raise UsageError(
                    f"{a} and {b} would write files of the same name (do them apart, each with its own -O)"
                )
            taken[key] = source
    return chosen
