"""The group `nmfc`, and what becomes an exit code. NumPy and the rest load inside the commands."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from typing import NoReturn

import click

from .. import __version__
from ..errors import NmfcError
from .streams import Terminated, discard, interrupted, prepare_streams, tell

COMMANDS = {  # command: its module in this folder
    "compress": "compress",
    "basis": "basis",
    "rank": "rank",
    "decompress": "decompress",
    "info": "info",
    "verify": "verify",
    "compare": "compare",
    "plot": "plot",
    "demo": "demo",
    "completion": "completion",
}
BLAS_THREADS = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
COMPLETE = "_NMFC_COMPLETE"  # set by the scripts that nmfc completion prints
PIPE_CLOSED, INTERRUPTED, TERMINATED = 141, 130, 143


class Commands(click.Group):
    """Imports a command's module when the command is called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        from importlib import import_module

        found: click.Command = import_module(f".{COMMANDS[cmd_name]}", __package__).command
        return found


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    no_args_is_help=True,
)
@click.option("--version", is_flag=True, allow_from_autoenv=False, help="Show the version and exit.")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    allow_from_autoenv=False,
    help="With --version: also those of Python, NumPy, its BLAS, Pillow and the extras.",
)
@click.pass_context
def nmfc(context: click.Context, version: bool, verbose: bool) -> None:
    """See, learn and compress images by non-negative matrix factorization (NMF).

    \b
    nmfc compress photo.png --rank 3     one picture from 3 parts: original, parts, loss
    nmfc basis digits.npz -k 10          the 10 parts that a collection of images shares
    nmfc compress digits.npz -o digits.nmfc --min-psnr 20
    nmfc decompress digits.nmfc          the pictures of a compressed file
    nmfc compare photo.png               the same pictures in other codecs, side by side
    nmfc plot a/loss.csv b/loss.csv      loss curves of two runs over each other

    Options read variables too: NMFC_COMPRESS_RANK=3 is --rank 3 of compress.
    """
    if version:
        said = [f"nmfc {__version__}"]
        if verbose:
            from .versions import lines

            said = lines()
        click.echo("\n".join(said))
        context.exit()
    if context.invoked_subcommand is None:
        raise click.UsageError("no command", context)
    if verbose:
        raise click.UsageError(f"-v goes with --version, or behind the command: {context.invoked_subcommand} -v")


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and exit as design and README say: 0, 1, 2, 3, 130, 141 or 143."""
    for name in BLAS_THREADS:  # other thread counts give other bits, and threads are ours to run over blocks
        os.environ[name] = "1"
    # OpenBLAS sets the flag now and then on finite values (OpenBLAS#1924); ours are looked at when they are read
    warnings.filterwarnings("ignore", "invalid value encountered in matmul", RuntimeWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # of EXIF that it cannot write
    prepare_streams()
    argv = sys.argv[1:] if args is None else args
    code = _run(argv)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        code = _stdout_failed(error)
    # code that catches everything may have swallowed it
    sys.exit(TERMINATED if Terminated.seen else INTERRUPTED if interrupted() else code)


def _run(argv: list[str]) -> int:
    debug, stdout = "--debug" in argv, sys.stdout
    if COMPLETE in os.environ:
        from . import completing as completing  # it tells Click of PowerShell
    try:
        result = nmfc.main(argv, prog_name="nmfc", standalone_mode=False, auto_envvar_prefix="NMFC", obj=tuple(argv))
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        tell(error.ctx.get_help() if error.ctx else "")
        return 2
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        where = f" ({context.command_path} -h shows the options)" if context else ""
        return _complain(error.format_message().replace("\n", " ").rstrip(".") + where, 2)
    except NmfcError as error:
        if debug:
            _trace()
        return _complain(str(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _complain("interrupted", INTERRUPTED)
    except Terminated:
        return _complain("terminated", TERMINATED)
    except SystemExit as stop:
        if sys.stdout is not stdout:  # Click wraps it when its reader has gone, and answers 1
            return _stdout_failed(BrokenPipeError(errno.EPIPE, ""))
        return stop.code if isinstance(stop.code, int) else 1
    except MemoryError:
        if debug:
            _trace()
        return _complain("out of memory (a smaller input, or --max-memory, would have been refused in time)", 1)
    except OSError as error:
        if debug:
            _trace()
        return _stdout_failed(error) if error.filename is None else _complain(f"{error.filename}: {error.strerror}", 1)
    except Exception as error:
        if debug:
            _trace()
        if Terminated.seen or interrupted():  # of which something half done made an error of its own
            return _complain(*(("terminated", TERMINATED) if Terminated.seen else ("interrupted", INTERRUPTED)))
        return _complain(f"internal error, please report it: {type(error).__name__}: {error} (--debug shows where)", 1)


def _complain(message: str, code: int) -> int:
    from ..images.files import display

    tell(f"nmfc: {display(message)}")
    return code


def _stdout_failed(error: OSError) -> int:
    """stdout cannot take more: without a word when its reader is gone, with one when it is full."""
    discard(1)
    return PIPE_CLOSED if error.errno == errno.EPIPE else _complain(f"stdout: {error.strerror or error}", 1)


def _trace() -> None:
    import traceback

    tell(traceback.format_exc(), end="")
