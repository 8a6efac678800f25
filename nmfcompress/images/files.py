"""Atomic writes, never half a file; and names that are safe to write and to show.

The new bytes go to a temporary file `.nmfc-<random>` in the target's own folder, are synced, and take the
target's name in one step. Whatever happens on the way, the name holds the old file or the whole new one.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import secrets
import stat
import unicodedata
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ..errors import OutputError

NAME_BYTES = 255  # the longest file name that Linux and macOS take
DESCRIPTOR = re.compile(r"/dev/(?:fd/(\d+)|(stdout)|(stderr))|/proc/(?:self|thread-self)/fd/(\d+)")
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EXDEV}
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

FileId = tuple[int, int]


@contextmanager
def writing(
    target: str | os.PathLike[str], *, overwrite: bool = True, inputs: Collection[FileId] = ()
) -> Iterator[BinaryIO]:
    """Open `target` to be written whole or not at all.

    Parameters
    ----------
    target : path
        Symbolic links are written through: the link stays. Devices and pipes (/dev/null, /dev/stdout, a FIFO)
        are written directly.
    overwrite : bool
        Without it an existing file is refused, at once and again, without a race, at the end.
    inputs : collection of (int, int)
        `file_id` of files that are never overwritten, whatever `overwrite` says.

    Yields
    ------
    BinaryIO
        What is written to it appears at `target` when the block ends without an exception.

    Raises
    ------
    OutputError
        The target exists, is an input or a folder, or the system refuses (one line with its reason).
    BrokenPipeError
        The reader of a pipe has gone.
    """
    path = os.fspath(target)
    with output_errors(path):
        status = _status(path)
        if status is not None and stat.S_ISDIR(status.st_mode):
            raise OutputError("is a folder, expected a file to write")
        opened = _stream_opener(path, status)
        if opened is not None:
            with opened() as stream:
                yield stream
            return
        if not os.path.basename(path):
            raise OutputError("is the name of a folder, expected a file to write")
        if status is not None and (status.st_dev, status.st_ino) in inputs:
            raise OutputError("is an input, which is never overwritten")
        if status is not None and not overwrite:
            raise OutputError(EXISTS)
        final = os.path.realpath(path) if os.path.islink(path) else os.path.join(os.getcwd(), path)
        folder = os.path.dirname(final)
        temporary = os.path.join(folder, f".nmfc-{secrets.token_hex(8)}")
        try:
            with open(temporary, "xb") as stream:
                if status is not None:
                    os.chmod(temporary, stat.S_IMODE(status.st_mode))
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            _publish(temporary, final, overwrite)
        finally:
            try:  # noqa: SIM105 - no call before it, at which a second signal could raise
                os.unlink(temporary)
            except FileNotFoundError:
                pass
        _sync_folder(folder)


EXISTS = "exists already (pass -f to overwrite it)"


def write_bytes(
    target: str | os.PathLike[str], data: bytes, *, overwrite: bool = True, inputs: Collection[FileId] = ()
) -> None:
    """Write `data` to `target`, whole or not at all: see `writing`."""
    with writing(target, overwrite=overwrite, inputs=inputs) as stream:
        stream.write(data)


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make the folder `path` and those above it; it may exist.

    Raises
    ------
    OutputError
        A file stands in the way, or the system refuses.
    """
    with output_errors(os.fspath(path)):
        try:
            os.makedirs(path, exist_ok=True)
        except FileExistsError:
            raise OutputError("is a file, expected a folder for the outputs") from None


@contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a folder against other processes that lock it too, while a file in it is read and written again."""
    try:
        import fcntl
    except ImportError:  # no such locks here: the last writer wins
        yield
        return
    with output_errors(os.fspath(folder)):
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def file_id(path: str | os.PathLike[str] | int) -> FileId | None:
    """(device, inode) of the file at `path` (or of a descriptor), the same by every path to it; None without one."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def regular_id(descriptor: int) -> FileId | None:
    """`file_id` of the file that a shell has redirected to; a device may well be both input and output."""
    return file_id(descriptor) if is_file(descriptor) else None


def is_file(path: str | int) -> bool:
    """Whether there is a regular file at `path`, or behind a descriptor."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def fit_name(stem: str, suffix: str) -> str:
    """`stem + suffix` as a file name of at most 255 bytes.

    Parameters
    ----------
    stem : str
        Cut where it is too long, never within a character, and marked with "~" and 8 hexadecimal digits of the
        SHA-256 of the whole, so that different stems stay different.
    suffix : str
        Kept whole: a short ending such as ".png".
    """
    if len(os.fsencode(stem + suffix)) <= NAME_BYTES:
        return stem + suffix
    mark = "~" + hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]
    room = NAME_BYTES - len(os.fsencode(mark + suffix))
    kept = 0
    for char in stem:
        room -= len(os.fsencode(char))
        if room < 0:
            break
        kept += 1
    return stem[:kept] + mark + suffix


def display(name: str | bytes | Path) -> str:
    """`name` for terminals and messages: one line, nothing in it that a terminal obeys.

    Control characters, line separators, marks that turn the writing direction and bytes that are not UTF-8
    are shown escaped (\\n, \\x1b, \\u202e); everything else is as it is.
    """
    text = os.fsdecode(name)
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # how Python carries a byte that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    if char in BIDI or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp"):
        return char.encode("unicode_escape").decode("ascii")
    return char


@contextmanager
def output_errors(path: str) -> Iterator[None]:
    """What the system says of an output at `path`, as an OutputError that names it."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror or error}", display(path)) from error
    except ValueError as error:
        if "null" not in str(error):
            raise
        raise OutputError("cannot be written: its name holds a null byte", display(path)) from error
    except OutputError as error:
        error.source = error.source or display(path)
        raise


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def descriptor(path: str) -> int | None:
    """The descriptor of this process that a name, or the link that it is, stands for: 1 for /dev/stdout."""
    link = os.path.abspath(path)
    for _ in range(8):
        if found := DESCRIPTOR.fullmatch(link):
            return 1 if found[2] else 2 if found[3] else int(found[1] or found[4])
        if not os.path.islink(link):
            break
        link = os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(link)))
    return None


def _stream_opener(path: str, status: os.stat_result | None) -> Callable[[], BinaryIO] | None:
    """What opens a target that is written directly; None for a file."""
    number = descriptor(path)  # /dev/stdout may be a file that the shell opened: its own descriptor is what was meant
    if number is not None:
        return lambda: _Forward(io.FileIO(os.dup(number), "wb"))
    if status is None or stat.S_ISREG(status.st_mode):
        return None
    return lambda: open(path, "wb")


class _Forward(io.BufferedWriter):
    """A stream that only goes forward: of what a shell has opened, perhaps to append, nothing else can be said."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")

    def seek(self, target: int, whence: int = 0, /) -> int:
        raise io.UnsupportedOperation("seek")


def _publish(temporary: str, final: str, overwrite: bool) -> None:
    if not overwrite:
        try:
            os.link(temporary, final)
            return
        except FileExistsError:
            raise OutputError(EXISTS) from None
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
        if os.path.lexists(final):
            raise OutputError(EXISTS)
    os.replace(temporary, final)


def _sync_folder(folder: str) -> None:
    with suppress(OSError):  # not every file system lets a folder be synced
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
