"""Options that commands share. Each bundle ends as one frozen value from settings.py."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import click
from click.core import ParameterSource

from .. import settings
from ..images.limits import DEFAULT_MAX_PIXELS
from ..settings import (
    Coding,
    Comparing,
    Course,
    Decoding,
    Fit,
    Packing,
    Ranking,
    Reading,
    Selection,
    Talk,
    Writing,
)
from ..showing import Report
from . import parsing
from .asked import command_line
from .bundles import Decorator, bundle, choice, default
from .bundles import command as command

_RANK = "Parts: 3 is a blur of a photo, 30 a likeness."
_COURSE = (
    click.option(
        "-n", "--iterations", "max_sweeps", type=int, default=default(Fit, "max_sweeps"), show_default=True,
        help="Most sweeps (a sweep updates both factors once).",
    ),
    click.option(
        "--tol", type=float, default=default(Fit, "tol"), show_default=True,
        help="Stop when the loss fell by less than this fraction over 10 sweeps; 0 never stops early.",
    ),
    click.option(
        "--solver", type=choice(*settings.SOLVERS), default=default(Fit, "solver"), show_default=True,
        help="Update rule: multiplicative, or hals, which goes farther (frobenius).",
    ),
)  # fmt: skip
_SEED = click.option("--seed", type=int, default=0, show_default=True, help="Of the random start.")
_JOBS = click.option(
    "-j",
    "--jobs",
    type=int,
    help="Cores to use, for several pictures at most 16 processes; the result is the same.  [default: all]",
)
_FIT = (
    *_COURSE,
    click.option("--inner", type=int, help="Inner repeats; 1 is the plain rule.  [default: while they pay]"),
    click.option(
        "--divergence", type=choice(*settings.DIVERGENCES), default="frobenius", show_default=True,
        help="What is minimized: ‖V − WH‖, Kullback-Leibler, or Itakura-Saito (zeros count as half a grey level).",
    ),
    click.option(
        "--l1", metavar="X[,Y]", help="Make entries zero: 1e-3 is felt, 1e-2 much, of W and H, or X of W and Y of H.",
    ),
    click.option(
        "--l2", metavar="X[,Y]", help="Keep entries small and alike: 1e-2 is felt, 1e-1 much.",
    ),
    click.option(
        "--init", type=choice(*settings.INITS), default=default(Fit, "init"), show_default=True,
        help="Where the factors start; auto: on a sample of the rows if there are many, else random.",
    ),
    _SEED,
    click.option("--restarts", type=int, default=1, show_default=True, help="Starts, the best of which is kept."),
    _JOBS,
)  # fmt: skip


def _fit(rank: int | None = None, l1: str | None = None, l2: str | None = None, **rest: Any) -> Fit:
    """Settings whose rank, where it is not given, comes from elsewhere: see Course and Coding."""
    given = {"l1": l1, "l2": l2}
    rest |= {name: parsing.parse_penalty(text, f"--{name}") for name, text in given.items() if text is not None}
    return Fit(1 if rank is None else rank, **rest)


fit = bundle("fit", _fit, click.option("-k", "--rank", type=int, help=_RANK), *_FIT)

fit_of_any_rank = bundle("fit", _fit, *_COURSE, _SEED, _JOBS)


class RankOrAuto(click.ParamType):  # type: ignore[type-arg]  # generic in later versions only
    """A whole number, or auto: None then."""

    name = "integer|auto"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        return value if value == AUTO else click.INT.convert(value, parameter, context)


AUTO = "auto"  # of --rank: it is found first
fit_or_file = bundle(
    "fit",
    lambda rank, **rest: _fit(None if rank == AUTO else rank, **rest),
    click.option(
        "-k",
        "--rank",
        type=RankOrAuto(),
        metavar="INTEGER|auto",
        help=_RANK + " auto finds the rank first, by what nmfc rank goes by.  [required without a file below]",
    ),
    *_FIT,
)


def _course(**values: Any) -> Course:
    context = click.get_current_context()
    defaults = (None, ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    asked = (f.name for f in fields(Fit) if context.get_parameter_source(f.name) not in defaults)
    return Course(given=frozenset(asked) - {"jobs"}, auto=context.params.get("rank") == AUTO, **values)


course = bundle(
    "course",
    _course,
    click.option("--basis-from", metavar="FILE", help="Take the basis of this factors.npz, and find codes for it."),
    click.option("--checkpoint", metavar="FILE", help="Keep a file to go on from, should the run be stopped."),
    click.option(
        "--checkpoint-every", type=float, metavar="SECONDS", default=default(Course, "checkpoint_every"),
        show_default=True, help="How often.",
    ),
    click.option("--resume", metavar="FILE", help="Go on from a checkpoint; options left out are as they were."),
)  # fmt: skip


def _coding(target_size: str | None, basis_from: str | None, **rest: Any) -> Packing:
    context = click.get_current_context()
    given = {name: context.params[name] for name in ("seed", "jobs")}
    size = None if target_size is None else parsing.parse_bytes(target_size, "--target-size")
    return Packing(Coding(context.params["rank"], target_size=size, **given, **rest), basis_from)


coding = bundle(
    "packing",
    _coding,
    click.option("--min-psnr", type=float, metavar="DB", help="At least so good, and at most half a dB better."),
    click.option("--target-size", metavar="SIZE", help="At most so large: 20KB, 1MB, 4096."),
    click.option(
        "--step",
        type=float,
        help="Quantizer step in grey levels: 2 is fine, 8 typical, 30 a blur; of patches 20, 50 and 150.",
    ),
    click.option(
        "--arrangement",
        type=choice(*settings.ARRANGEMENTS),
        help="How pixels become a matrix.  [default: by the input]",
    ),
    click.option("--basis-from", metavar="FILE", help="Take the parts of this .nmfc; it is needed to decode, too."),
)


scheduler = bundle(
    "scheduler",
    lambda scheduler: scheduler,
    click.option(
        "--scheduler", metavar="ADDRESS", help="Work on a Dask cluster: tcp://host:8786, or local:N processes here."
    ),
)


def _selection(index: str | None, label: tuple[str, ...], **rest: Any) -> Selection:
    return Selection(index=parsing.parse_index(index) if index is not None else (), labels=label, **rest)


selection = bundle(
    "selection",
    _selection,
    click.option("--split", type=choice("train", "test", "all"), help="Part of an archive.  [default: train, if any]"),
    click.option("--one-per-label", is_flag=True, help="The first image of each label."),
    click.option("--label", multiple=True, metavar="L", help="Images with this label (may be repeated)."),
    click.option("--index", metavar="I,J,A-B", help="Images by index, from 0: 0,5,10-20."),
    click.option("--limit", type=int, help="At most so many images."),
)  # fmt: skip


def _reading(
    frame: str | None = None, resize: str | None = None, max_memory: str | None = None, **rest: Any
) -> Reading:
    number = 0 if frame == "all" else None if frame is None else int(frame) if frame.isdecimal() else -1
    settings.check(number is None or number >= 1 or frame == "all", "--frame", frame, "a number from 1, or all")
    pixels = rest["max_pixels"]
    settings.check(pixels is None or settings.count(pixels), "--max-pixels", pixels, "a whole number from 1")
    return Reading(
        frame=number,
        resize=parsing.parse_size(resize) if resize is not None else None,
        max_memory=parsing.parse_bytes(max_memory) if max_memory is not None else None,
        **rest,
    )


_MASK = click.option("--mask", metavar="FILE", help="Image or array, 0 = missing pixel.")
_RESIZE = click.option("--resize", metavar="WxH", help="Bring the pictures of a folder or list to one size.")
_READING = (
    click.option("-r", "--recursive", is_flag=True, help="Walk folders, but no hidden ones and no links to others."),
    click.option("--files-from", metavar="FILE", help="More inputs, one a line; - reads them from stdin."),
    click.option("-0", "--null", "nul", is_flag=True, help="--files-from is separated by NUL bytes."),
    click.option("--key", help="Array of an npz or mat archive."),
    click.option("--axis", type=int, help="Axis of an array that counts the images."),
    click.option("--order", type=choice("C", "F"), default="C", show_default=True, help="F: images stored by columns."),
    click.option("--gray", "--grey", "gray", is_flag=True, help="Make one channel of colour first."),
    _MASK,
    click.option("--max-memory", metavar="SIZE", help="Refuse what needs more: 500MB, 2GB.  [default: half of free]"),
    click.option(
        "--max-pixels", type=int, metavar="N", help=f"Refuse pictures of more.  [default: {DEFAULT_MAX_PIXELS:,}]"
    ),
)  # fmt: skip
reading_each = bundle(
    "reading",
    _reading,
    *_READING,
    _RESIZE,
    click.option("--frame", metavar="N|all", help="Frame of a several-frame file, from 1.  [default: the first]"),
    click.option(
        "--all", "everything", is_flag=True, help=f"Also more than {settings.ARCHIVE_FILES:,} pictures of an archive."
    ),
)  # fmt: skip
reading_together = bundle("reading", _reading, *_READING, _RESIZE)
reading_whole = bundle("reading", _reading, *(option for option in _READING if option is not _MASK), _RESIZE)

_FOLDER = click.option(
    "-O",
    "--output-dir",
    "folder",
    default=default(Writing, "folder"),
    show_default=True,
    metavar="DIR",
    help="Where outputs go.",
)
_FORCE = click.option("-f", "--force", "overwrite", is_flag=True, help="Overwrite existing outputs.")
_SKIP = click.option("--skip-existing", is_flag=True, help="Pass over outputs that exist.")
_PLOT = click.option(
    "--plot/--no-plot", default=None, help="Draw loss.png.  [default: for archives, if Matplotlib is there]"
)


_REPORT = click.option("--report", metavar="FILE.html", help="Also a page with pictures, parts, curves and figures.")


def _report(path: str | None) -> Report | None:
    return None if path is None else Report(path, command_line())


def writing(*kinds: str, single: bool) -> Decorator:
    """Options for outputs, those of `kinds` by default all; `single` adds -o and --to."""

    def build(what: str | None, plot: bool | None, report: str | None, **rest: Any) -> Writing:
        rest["report"] = _report(report)
        if what is None:
            return Writing(what=kinds, plot=plot, **rest)
        return Writing(what=parsing.parse_choice(what, "--write", kinds), plot=bool(plot), **rest)

    named = ",".join(kinds)
    one = (
        click.option(
            "-o",
            "--output",
            "file",
            metavar="FILE|-",
            help="Only this file: a picture of its kind, or .nmfc; - is stdout.",
        ),
        click.option("--to", "kind", metavar="KIND", help="Kind of -o where its ending does not tell, such as png."),
    )
    return bundle(
        "writing",
        build,
        *(one if single else ()),
        _FOLDER,
        click.option("--write", "what", metavar="LIST", help=f"Outputs wanted.  [default: {named}]"),
        *(
            ()
            if single
            else (click.option("--show", type=int, default=10, show_default=True, help="Images in reconstructed.png."),)
        ),
        _FORCE,
        _SKIP,
        _PLOT,
        _REPORT,
    )


def _ranking(ranks: str | None, seconds: float | None) -> Ranking:
    low, high = (Ranking.low, Ranking.high) if ranks is None else parsing.parse_range(ranks, "--ranks")
    return Ranking(low, high, seconds)


ranking = bundle(
    "ranking",
    _ranking,
    click.option("--ranks", metavar="A-B", help=f"Between which.  [default: {Ranking.low}-{Ranking.high}]"),
    click.option(
        "--time", "seconds", type=float, metavar="SECONDS", help="Search no longer; what is not known then is left out."
    ),
)

ranked = bundle(
    "writing",
    lambda report, **rest: Writing(report=_report(report), **rest),
    _FOLDER,
    _FORCE,
    _SKIP,
    click.option("--plot/--no-plot", default=None, help="Draw rank.png.  [default: if Matplotlib is there]"),
    _REPORT,
)

overview = bundle(
    "writing",
    lambda report, **rest: Writing(report=_report(report), **rest),
    _FOLDER,
    click.option("--show", type=int, default=12, show_default=True, help="Images of a collection in the picture."),
    _FORCE,
    _SKIP,
    click.option("--plot/--no-plot", default=None, help="Draw rates.png.  [default: if Matplotlib is there]"),
    _REPORT,
)


def _comparing(codecs: str | None, size: str | None, **rest: Any) -> Comparing:
    chosen = settings.CODECS if codecs is None else parsing.parse_choice(codecs, "--codecs", settings.CODECS)
    return Comparing(chosen, size=None if size is None else parsing.parse_bytes(size, "--at"), **rest)


comparing = bundle(
    "comparing",
    _comparing,
    click.option("--codecs", metavar="LIST", help=f"Codecs wanted.  [default: {','.join(settings.CODECS)}]"),
    click.option(
        "--rates", type=int, default=default(Comparing, "rates"), show_default=True, help="Qualities of each."
    ),
    click.option(
        "--at", "size", metavar="SIZE", help="Size of what is put side by side: 20KB.  [default: one all reach]"
    ),
)

restoring = bundle(
    "writing",
    Writing,
    click.option(
        "-o", "--output", "file", metavar="FILE|-", help="One file: a picture, or all as .npz or .npy; - is stdout."
    ),
    click.option("--to", "kind", metavar="KIND", help="Kind of what is written: png, tif, npz ...  [default: by name]"),
    _FOLDER,
    _FORCE,
    _SKIP,
)


def _decoding(index: str | None = None, max_memory: str | None = None, **rest: Any) -> Decoding:
    return Decoding(
        index=parsing.parse_index(index) if index is not None else (),
        max_memory=parsing.parse_bytes(max_memory) if max_memory is not None else None,
        **rest,
    )


_ORIGIN = click.option("--basis-from", metavar="FILE", help="The file that has the parts, where INPUT has none.")
_MEMORY = click.option("--max-memory", metavar="SIZE", help="Refuse what needs more: 2GB.  [default: half of free]")
decoding = bundle(
    "decoding",
    _decoding,
    click.option("--index", metavar="I,J,A-B", help="Only these pictures of the file, from 0, in its order: 5,10-20."),
    click.option("-k", "--rank", type=int, help="Only the first so many parts: a coarse picture.  [default: all]"),
    _ORIGIN,
    _MEMORY,
)
verifying = bundle("decoding", _decoding, _ORIGIN, _MEMORY)
opening = bundle("decoding", _decoding, _MEMORY)

_DEBUG = click.option("--debug", is_flag=True, help="Show the traceback of an error.")
_FAIL_FAST = click.option("--fail-fast", is_flag=True, help="Stop at the first input that fails.")
_TALK = (
    click.option("-q", "--quiet", is_flag=True, help="No summary, notes or bar."),
    click.option("-v", "--verbose", is_flag=True, help="Also what was assumed, and more of the result."),
    click.option("--json", is_flag=True, help="One JSON object a result on stdout."),
    click.option(
        "--progress", type=choice("auto", "always", "never"), default="auto", show_default=True, help="The bar."
    ),
    _DEBUG,
)
talk = bundle("talk", Talk, *_TALK)
talk_each = bundle("talk", Talk, *_TALK, _FAIL_FAST)

data = bundle(
    "talk",
    Talk,
    click.option("-v", "--verbose", is_flag=True, help="Also the names and labels of the pictures."),
    click.option("--json", is_flag=True, help="One JSON object a file."),
    _DEBUG,
    _FAIL_FAST,
)
