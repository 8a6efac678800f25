"""The compressed file: bytes at the PSNR that is asked for, beside other codecs on the same pictures in the same run.

All bytes are counted, and PSNR is that of the decoded 8-bit pixels together. Times are CPU on one thread, the search
for the target included. The real data are needed (NMFC_DATA).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

from large import lacking, stack
from measure import DATA, NMFC, ONE_THREAD, Figure, judged, run, timed, work

from nmfcompress.report.bjontegaard import delta

KODAK = [f"kodim{number:02}.png" for number in range(1, 25)]
QMF = ((0.1, 22.9), (0.2, 24.9), (0.3, 26.15))  # bits per pixel, and what was published: mean of 24, RGB
STEPS = (20, 32, 50, 80, 128)  # of patches: from good to a blur
BELOW = 0.4  # bits per pixel


def collections() -> Iterator[Figure]:
    """The training images of MNIST at two qualities, and where a mosaic in AVIF begins to be smaller."""
    low = timed("coded", "train", kept=str(work() / "train.nmfc"), min_psnr=20.0, arrangement="stack")
    yield judged("MNIST train at 20.0 dB: bytes an image", low["bytes"] / 60_000, 12.5, 9.5, note=_note(low))
    yield judged("  encode, CPU", low["encode"], 180, 60, unit=" s")
    yield judged("  decode, CPU", low["decode"], 10, 3, unit=" s")
    train = str(work() / "train.nmfc")
    high = timed("coded", "train", kept=train, min_psnr=22.9, arrangement="stack")
    yield judged("MNIST train at 22.9 dB: bytes an image", high["bytes"] / 60_000, 24, 19, note=_note(high))
    other = timed("rival", "train", "avif", [5, 10, 15])["rates"]
    said = ", ".join(f"{size / 60_000:.1f} bytes at {psnr:.2f} dB" for size, psnr in other)
    yield Figure("  the same in AVIF, one mosaic", "", note=said)
    test = timed("coded", "test", basis_from=train, min_psnr=22.7)
    yield judged(
        "MNIST test at 22.7 dB, --basis-from: bytes an image", test["bytes"] / 10_000, 24, 19, note=_note(test)
    )


def crossing() -> Iterator[Figure]:
    """Up to what PSNR the digits are smaller than a mosaic in AVIF."""
    other = timed("rival", "train", "avif", [5, 10, 15])["rates"]
    best, notes = 0.0, []
    for target in (24.5, 26.0):
        own = timed("coded", "train", min_psnr=target, arrangement="stack")
        theirs = _at(own["psnr"], other)
        notes.append(f"{own['psnr']:.2f} dB: {own['bytes'] / 60_000:.1f} against {theirs / 60_000:.1f} bytes")
        if own["bytes"] <= theirs:
            best = target
    yield judged(
        "MNIST train smaller than an AVIF mosaic up to", best, 24.5, 26, least=True, unit=" dB", note="; ".join(notes)
    )


def bands() -> Iterator[Figure]:
    """A spectral cube and a calcium movie."""
    for name, target, must, aim in (("samson", 37.9, 23, 15), ("calcium", 31.7, 19, 13)):
        own = timed("coded", name, min_psnr=target, arrangement="bands")
        yield judged(f"{name} at {target} dB: bytes a band", own["bytes"] / own["count"], must, aim, note=_note(own))


def photos() -> Iterator[Figure]:
    """Kodak by patches, against published figures and JPEG."""
    runs = {step: [timed("coded", name, arrangement="patches", step=step) for name in KODAK] for step in STEPS}
    ours = [
        (
            statistics.mean(8 * one["bytes"] / one["pixels"] for one in some),
            statistics.mean(one["psnr"] for one in some),
        )
        for some in runs.values()
    ]
    for rate, published in QMF:
        got = _psnr_at(rate, ours)
        yield judged(
            f"Kodak at {rate} bit/pixel: dB over QMF", got - published, 1, 2.5, least=True, note=f"{got:.2f} dB"
        )
    saved = []
    for place, name in enumerate(KODAK):
        pixels = runs[STEPS[0]][place]["pixels"]
        theirs = timed("rival", name, "jpeg", [1, 3, 5, 8, 12, 17, 23, 30, 40])["rates"]
        own = [(one["bytes"], one["psnr"]) for some in runs.values() for one in [some[place]]]
        common = [pair for pair in theirs if 8 * pair[0] / pixels <= BELOW]
        found = delta("nmfc", sorted(own), "JPEG", sorted((size, psnr) for size, psnr in common))
        if found.bd_rate is not None:
            saved.append(found.bd_rate)
    note = f"mean of {len(saved)} pictures, {min(saved):.0f} to {max(saved):.0f} %"
    yield judged(
        "Kodak against JPEG below 0.4 bit/pixel: BD-rate", statistics.mean(saved), -15, -45, unit=" %", note=note
    )
    middle = runs[STEPS[2]]
    yield judged("  encode a picture, CPU", statistics.median(one["encode"] for one in middle), 5, 1, unit=" s")
    yield judged("  decode a picture, CPU", statistics.median(one["decode"] for one in middle), 1, 0.3, unit=" s")


def rows() -> Iterator[Figure]:
    """A rank-3 file against the factors as they are."""
    some = [timed("small_file", name, 3) for name in KODAK[::6]]
    ratio = statistics.median(one["npz"] / one["bytes"] for one in some)
    note = f"at most {max(one['lost'] for one in some):.3f} dB lost; {len(some)} of Kodak"
    yield judged("rank-3 rows: np.savez of float32 W, H / file", ratio, 4, 5, least=True, note=note)


def million() -> Iterator[Figure]:
    """A million generated pictures of 28 x 28 on disk, 16 parts, a fixed step: memory, and time against a tenth."""
    if missing := lacking(10**6):
        yield Figure("a million pictures: not measured", "", note=missing)
        return
    spent, most = {}, 0.0
    for count in (10**5, 10**6):
        with stack(count) as path:
            words = ("-k", 16, "--step", 12, "--arrangement", "stack", "-q", "-j", 1)
            done = run(*NMFC, "compress", path, "-o", work() / "x.nmfc", *words, env=ONE_THREAD)
        spent[count], most = done.cpu, done.memory
    note = f"{spent[10**6]:.0f} s of CPU, a tenth of them {spent[10**5]:.0f} s"
    yield judged("a million pictures, 16 parts: unshared memory", most, 2000, 2000, unit=" MB", note=note)
    ratio = spent[10**6] / spent[10**5] / 10
    yield judged("  CPU time a picture, a million / a hundred thousand", ratio, 1.1, 1.1)


def _note(own: dict[str, float]) -> str:
    return f"{own['psnr']:.2f} dB, {own['bytes']:,} bytes, {own['encode']:.0f} s / {own['decode']:.1f} s of CPU"


def _at(psnr: float, rates: list[list[float]]) -> float:
    """Bytes of another codec at this PSNR, between the qualities that were tried."""
    import numpy as np

    sizes, reached = zip(*sorted(rates), strict=True)
    return float(np.exp(np.interp(psnr, reached, np.log(sizes))))


def _psnr_at(rate: float, rates: list[tuple[float, float]]) -> float:
    import numpy as np

    x, y = zip(*sorted(rates), strict=True)
    return float(np.interp(np.log(rate), np.log(x), y))


PARTS: dict[str, Callable[[], Iterator[Figure]]] = (
    {
        "collections": collections,
        "crossing": crossing,
        "bands": bands,
        "photos": photos,
        "rows": rows,
        "million": million,
    }
    if DATA
    else {}
)
