"""What `nmfc --version -v` says: what is installed, for a report of an error."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata
from typing import Any

from .. import __version__

PACKAGE = "nmfcompress"
TOOLS = {"dev", "fuzz"}  # extras of who works on it
CODECS = {"avif": "AVIF", "webp": "WebP", "jpg_2000": "JPEG 2000"}


def lines() -> list[str]:
    """One line a thing: its name, and what there is of it."""
    rows = [
        ("Python", f"{platform.python_version()} ({platform.python_implementation()}), {sys.executable}"),
        ("platform", platform.platform()),
        ("numpy", _version("numpy")),
        ("BLAS", _blas()),
        ("pillow", f"{_version('pillow')}: {_codecs()}"),
        ("click", _version("click")),
        ("tqdm", _version("tqdm")),
        *((f"[{extra}]", ", ".join(f"{name} {_version(name)}" for name in names)) for extra, names in extras().items()),
    ]
    wide = max(len(name) for name, _ in rows)
    return [f"nmfc {__version__}", *(f"  {name:<{wide}}  {said}" for name, said in rows)]


def extras() -> dict[str, list[str]]:
    """The optional packages by the extra that brings them; none where nmfcompress runs without being installed."""
    try:
        needed = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return {}
    found: dict[str, list[str]] = {}
    for one in needed:
        if (extra := re.search(r"""extra == ["'](\w+)["']""", one)) and extra[1] not in TOOLS:
            name = re.match(r"[\w.-]+", one)
            found.setdefault(extra[1], []).append(name[0] if name else one)
    return found


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _blas() -> str:
    """The BLAS that NumPy was built with, and the threads that it gets from us."""
    import numpy as np

    from ..factor.nmf import cores

    built: Any = np.show_config(mode="dicts")
    blas = built.get("Build Dependencies", {}).get("blas", {})
    name = " ".join(str(blas[key]) for key in ("name", "version") if blas.get(key)) or "unknown"
    threads = os.environ.get("OPENBLAS_NUM_THREADS", "all")
    return f"{name}, {threads} thread{'s' * (threads != '1')}; {cores()} of ours over blocks"


def _codecs() -> str:
    """Those of Pillow that not every build has; see `arrangement bands` and `nmfc compare`."""
    from PIL import features

    def said(feature: str, word: str) -> str:
        known = features.check(feature)
        number = features.version(feature) if known else None
        return f"{word} {number or 'yes'}" if known else f"no {word}"

    return ", ".join(said(feature, word) for feature, word in CODECS.items())
