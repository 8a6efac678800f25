"""What the command-line tests share: nmfc as a real process, pictures to feed it, and what it wrote."""

from __future__ import annotations

import csv
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SAMPLES = Path(__file__).parents[2] / "samples"
SCRIPT = shutil.which("nmfc", path=os.path.dirname(sys.executable))
COMMAND = [SCRIPT] if SCRIPT else [sys.executable, "-m", "nmfcompress"]  # the installed script, where there is one

Done = subprocess.CompletedProcess[bytes]


# What every object of --json has at least
KEYS = {
    *("input", "image", "label", "width", "height", "mode", "rank", "solver", "divergence", "sweeps", "converged"),
    *("loss", "relative_loss", "reads", "gradient", "svd_floor", "psnr_db", "ssim", "seconds", "outputs"),
}


def environment(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("NMFC_")} | more


def real(folder: Path, *args: object, **options: object) -> Done:
    """Run the installed command in `folder`."""
    if "stdin" not in options and "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    if not options.keys() & {"stdout", "stderr"}:
        options["capture_output"] = True
    words = [a if isinstance(a, bytes) else str(a) for a in args]
    return subprocess.run([*COMMAND, *words], cwd=folder, env=environment(), timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def one_line(said: str, *words: str) -> None:
    """`said` is one message, with all of `words` in it and no traceback."""
    assert said.startswith("nmfc: "), said
    assert said.count("\n") == 1, said
    assert "internal error" not in said, said
    for word in words:
        assert word in said


def tones(h: int, w: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """A smooth picture with some noise, (h, w) or (h, w, channels) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w]
    planes = [
        128 + 90 * np.sin(x / (3 + c) + seed) * np.cos(y / (5 + c)) + rng.normal(0, 5, (h, w)) for c in range(channels)
    ]
    values = np.clip(np.rint(np.stack(planes, axis=2)), 0, 255).astype(np.uint8)
    return values[..., 0] if channels == 1 else values


def picture(
    path: Path | str | bytes, mode: str = "L", size: tuple[int, int] = (24, 16), seed: int = 0, **saved: object
) -> Path:
    """Save a small picture, a PNG where the ending tells no other kind; size is width and height."""
    channels = {"RGB": 3, "RGBA": 4, "CMYK": 4}
    shown = Image.fromarray(tones(size[1], size[0], channels[mode]), mode) if mode == "CMYK" else None
    shown = shown or Image.fromarray(tones(size[1], size[0], channels.get(mode, 1), seed))
    kind = Image.registered_extensions().get(os.path.splitext(os.fsdecode(path))[1].lower(), "PNG")
    os.makedirs(os.path.dirname(os.fsencode(path)) or b".", exist_ok=True)
    with open(path, "wb") as file:
        shown.save(file, kind, **saved)
    return Path(os.fsdecode(path))


def frames(path: Path, count: int = 4, size: tuple[int, int] = (24, 16)) -> Path:
    """Save a picture of several frames, GIF or TIFF by the ending."""
    shown = [Image.fromarray(tones(size[1], size[0], seed=seed)) for seed in range(count)]
    shown[0].save(path, save_all=True, append_images=shown[1:])
    return path


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def mode_and_size(path: Path) -> tuple[str, tuple[int, int]]:
    with Image.open(path) as image:
        return image.mode, image.size


def log(folder: Path) -> list[dict[str, str]]:
    with open(folder / "loss.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def written(folder: Path) -> list[str]:
    """All files below a folder, sorted."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and ".bin" not in p.parts)


def timeless(folder: Path) -> dict[str, bytes | Sequence[tuple[str, ...]]]:
    """What a run wrote, the seconds left out."""
    return {
        name: (folder / name).read_bytes()
        if name != "loss.csv"
        else [tuple(v for k, v in row.items() if k != "seconds") for row in log(folder)]
        for name in written(folder)
    }


def shell(folder: Path, script: str, **options: object) -> Done:
    """Run a line of bash in `folder`, with nmfc on the path; $? of a pipe is that of its first command."""
    shim = folder / ".bin" / "nmfc"
    if not shim.exists():
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec {" ".join(shlex.quote(word) for word in COMMAND)} "$@"\n')
        shim.chmod(0o755)
    options = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": 120} | options
    path = f"{shim.parent}{os.pathsep}{os.environ['PATH']}"
    words = ["bash", "-c", script + "\nexit ${PIPESTATUS[0]}"]
    return subprocess.run(words, cwd=folder, env=environment(PATH=path), **options)  # type: ignore[call-overload, no-any-return]
