"""Many pictures in one run: what each costs beside its factors, memory and open files; and several at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measure import NMFC, ONE_THREAD, ROOT, Figure, judged, run, unshared, work
from PIL import Image

FILES = int(os.environ.get("NMFC_FILES", "100000"))
SIDE = 16
SETTLED = 200  # files after which memory is what it should stay
LOOKED_AT = 1000  # files whose work is timed alone
SWEEPS = 5  # few: what is left when the factorizing is taken off should not drown in it
OPTIONS = ("-k", 3, "-n", SWEEPS, "--tol", 0)


def small_files(count: int) -> Path:
    """A list of `count` different pictures of 16 x 16, made of three parts and a little noise."""
    folder, rng = work(), np.random.default_rng(0)
    (folder / "in").mkdir()
    parts = rng.random((3, SIDE)) ** 3
    names = [folder / f"in/{place:06}.png" for place in range(count)]
    for name in names:
        values = rng.random((SIDE, 3)) ** 3 @ parts * 150 + rng.normal(8, 4, (SIDE, SIDE))
        Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8)).save(name)
    (folder / "list").write_text("".join(f"{name}\n" for name in names))
    return folder / "list"


def files() -> Iterator[Figure]:
    """100,000 files (NMFC_FILES) by --files-from: CPU of each beyond its factorizing, memory once the list is read."""
    listed = small_files(FILES)
    out = work()
    words = [*NMFC, "compress", "--files-from", listed, "--write", "nmfc", *OPTIONS, "-j", 1, "-q", "-O", out]
    seen: list[tuple[float, int]] = []
    before = os.times()
    with subprocess.Popen([str(word) for word in words]) as process:
        settled = out / f"{SETTLED:06}.nmfc"
        while process.poll() is None:
            if settled.exists():
                seen.append((unshared(process.pid), len(os.listdir(f"/proc/{process.pid}/fd"))))
            time.sleep(0.1)
    after = os.times()
    if process.returncode or sum(1 for _ in out.iterdir()) != FILES:
        raise SystemExit(f"nmfc ended with {process.returncode}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    one = run(*NMFC, "compress", ROOT / "samples/grey.png", "--write", "nmfc", *OPTIONS, "-q", "-O", work()).cpu
    alone = reference_apart(listed)
    each = 1000 * (cpu - one) / FILES
    what = f"{FILES:,} files of {SIDE}x{SIDE}"
    beside, coding = each - alone["factorize"], alone["code"]
    note = f"{each:.2f} in all, {alone['factorize']:.2f} factorizing"
    yield judged(f"{what}: CPU a file beside factorizing", beside, 2, 1, unit=" ms", note=note)
    note = f"{coding:.2f} coding into integers and bytes"
    yield judged(f"{what}: the same beside coding, too", beside - coding, 2, 1, unit=" ms", note=note)
    memory = [value for value, _ in seen if value]
    growth = 100 * (max(memory) / memory[0] - 1)
    note = f"{memory[0]:.0f} MB after {SETTLED} files, then at most {max(memory):.0f}"
    yield judged(f"{what}: growth of unshared memory", growth, 10, 5, unit=" %", note=note)
    yield judged(f"{what}: most open files", max(count for _, count in seen), 64, 16)


def reference_apart(listed: Path) -> dict[str, float]:
    """`reference` in a process of its own, BLAS on one thread."""
    done = run(sys.executable, __file__, listed, env=ONE_THREAD)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def reference(listed: str) -> dict[str, float]:
    """Milliseconds of CPU that factorizing one of the files takes by itself, and coding its factors beside others."""
    from nmfcompress.codec.header import Header, Meta
    from nmfcompress.codec.rows import coded_rows, side_by_side
    from nmfcompress.factor.nmf import factorize_as
    from nmfcompress.images.arrange import arrange_rows
    from nmfcompress.images.pictures import read_image
    from nmfcompress.settings import Fit

    names = Path(listed).read_text().split("\n")[:-1]
    fit, spent = Fit(3, SWEEPS, 0, jobs=1), {"factorize": 0.0, "code": 0.0}

    def timed(what: str, call: Callable[[], Any]) -> Any:
        began = time.process_time()
        found = call()
        spent[what] += time.process_time() - began
        return found

    chosen = names[:: max(1, len(names) // LOOKED_AT)]
    together = side_by_side(SIDE * SIDE)
    for first in range(0, len(chosen), together):
        pictures = [read_image(name).pixels for name in chosen[first : first + together]]
        found = [timed("factorize", lambda p=pixels: factorize_as(arrange_rows(p), fit)) for pixels in pictures]
        headers = [Header((1, *pixels.shape), pixels.dtype, single=True) for pixels in pictures]
        timed("code", lambda p=pictures, h=headers, f=found: coded_rows(p, h, [Meta()] * len(p), f))
    return {what: 1000 * seconds / len(chosen) for what, seconds in spent.items()}


def jobs() -> Iterator[Figure]:
    """Wall time with -j 1 over that with all cores, least of three each in turn: photos, and 2,000 small pictures."""
    folder = work()
    photo = np.asarray(Image.open(ROOT / "samples/photo.png"))
    for place in range(64):
        Image.fromarray(np.roll(photo, 7 * place, axis=1)[:, :: (-1) ** place]).save(folder / f"{place:02}.png")
    cores = len(os.sched_getaffinity(0))
    for what, words in (
        ("64 photos of 480x320", ("-r", folder, "-k", 12)),
        (f"2,000 files of {SIDE}x{SIDE}", ("--files-from", small_files(2000), "--write", "nmfc", "-k", 3)),
    ):
        walls: dict[int, list[float]] = {1: [], cores: []}
        for _ in range(3):
            for count, found in walls.items():
                found.append(run(*NMFC, "compress", *words, "-j", count, "-q", "-O", work()).wall)
        least = {count: min(found) for count, found in walls.items()}
        note = ", ".join(f"-j {count}: {wall:.1f} s" for count, wall in least.items())
        yield Figure(f"{what}: wall time of -j 1 / -j {cores}", f"{least[1] / least[cores]:.2f}", note=note)


PARTS: dict[str, Callable[[], Iterator[Figure]]] = {"files": files, "jobs": jobs}

if __name__ == "__main__":
    print(json.dumps(reference(sys.argv[1])))
