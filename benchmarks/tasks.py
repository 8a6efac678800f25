"""What is timed, each in a process of its own: `python tasks.py TASK JSON`, the answer as JSON on stdout.

V is the uint8 matrix in an .npy file. Ours is given V as it is. The peers are given V as they like it best (float32,
for nimfa float64, scaled to 0..1, in memory before the clock starts), a random start, a number of iterations and no
tolerance. CPU time is that of the whole process around the call, imports before it. Losses are recomputed in float64.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np


class Enough(Exception):
    """Raised in on_sweep: what follows is not wanted."""


def ours(path: str, rank: int, **options: Any) -> dict[str, Any]:
    """factorize() with everything it does: start, sweeps, losses, the last exact solve."""
    from nmfcompress import factorize

    V = np.load(path)
    with Clock() as clock:
        found = factorize(V, rank, jobs=1, **options)
    last = found.records[-1]
    loss = verified(V, found.W, found.H, options.get("divergence", "frobenius"))
    return {**clock.times, "loss": loss, "sweeps": last.sweep, "reads": last.reads}


def sweeps_to(path: str, rank: int, loss: float, most: int = 500, **options: Any) -> dict[str, Any]:
    """The fewest sweeps of ours that reach `loss`; 0 when `most` do not."""
    from nmfcompress import factorize

    V, reached = np.load(path), 0

    def look(record: Any) -> None:
        nonlocal reached
        if record.loss <= loss:
            reached = record.sweep
            raise Enough

    try:
        factorize(V, rank, max_sweeps=most, tol=0, on_sweep=look, **options)
    except Enough:
        while reached > 1 and factorize(V, rank, max_sweeps=reached - 1, tol=0, **options).loss <= loss:
            reached -= 1
    return {"sweeps": reached}


def held(path: str, rank: int, **options: Any) -> dict[str, Any]:
    """factorize() on every core, for its memory: V is read into memory as it is, nothing is recomputed."""
    from nmfcompress import factorize

    V = np.load(path)
    return {"input": V.nbytes / 1e6, "loss": factorize(V, rank, tol=0, **options).loss}


def scikit_learn(
    path: str, rank: int, *, solver: str, sweeps: int, seed: int, tol: float = 0, divergence: str = "frobenius"
) -> dict[str, Any]:
    """sklearn.decomposition.NMF; with tol=0 it computes no loss on its way."""
    import warnings

    from sklearn.decomposition import NMF

    warnings.simplefilter("ignore")  # that it did not converge
    V = np.load(path)
    scaled = as_float(V, np.float32)
    beta = {"frobenius": "frobenius", "kl": "kullback-leibler"}[divergence]
    model = NMF(rank, solver=solver, beta_loss=beta, init="random", random_state=seed, max_iter=sweeps, tol=tol)
    with Clock() as clock:
        W = model.fit_transform(scaled)
    return {**clock.times, "loss": verified(V, W, model.components_, divergence), "sweeps": model.n_iter_}


def torchnmf(path: str, rank: int, *, sweeps: int, seed: int) -> dict[str, Any]:
    """torchnmf.nmf.NMF on one thread, beta 2."""
    import torch
    from torchnmf.nmf import NMF

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    V = np.load(path)
    scaled = torch.from_numpy(as_float(V, np.float32))
    with Clock() as clock:
        model = NMF(scaled.shape, rank=rank)
        done = model.fit(scaled, beta=2, tol=-np.inf, max_iter=sweeps)  # 0 ends it when its own loss stands still
    W, H = model.H.detach().numpy(), model.W.detach().numpy().T
    return {**clock.times, "loss": verified(V, W, H), "sweeps": done}


def nimfa(path: str, rank: int, *, sweeps: int, seed: int) -> dict[str, Any]:
    """nimfa.Nmf, Euclidean updates; its own loss only at the end."""
    import warnings

    warnings.simplefilter("ignore")
    from nimfa import Nmf

    np.random.seed(seed)  # nimfa draws from there
    V = np.load(path)
    scaled = as_float(V, np.float64)
    with Clock() as clock:
        model = Nmf(
            scaled, seed="random", rank=rank, max_iter=sweeps, update="euclidean", objective="fro", test_conv=sweeps
        )
        found = model()
    W, H = np.asarray(found.basis()), np.asarray(found.coef())
    return {**clock.times, "loss": verified(V, W, H), "sweeps": found.n_iter}


def sweep(path: str, rank: int, solver: str, init: str = "auto", sweeps: int = 25) -> dict[str, Any]:
    """CPU time of a sweep, and of its two products alone over the same blocks, already float32, after each sweep.

    The median of 23 sweeps; how often they repeat their inner steps depends on the start.
    """
    from nmfcompress import factorize
    from nmfcompress.factor.blocks import as_blocks

    V = np.load(path)
    blocks = [as_float(V[rows], np.float32) for rows in as_blocks(V).rows]
    rng = np.random.default_rng(0)
    H = rng.random((rank, V.shape[1]), np.float32)
    W = [rng.random((rank, len(block)), np.float32) for block in blocks]
    own: list[tuple[int, float]] = []
    products: list[float] = []
    stamp = time.process_time()

    def between(record: Any) -> None:
        nonlocal stamp
        began = time.process_time()
        own.append((record.reads, began - stamp))
        for Wb, Vb in zip(W, blocks, strict=True):
            H @ Vb.T
            Wb @ Vb
        products.append(time.process_time() - began)
        stamp = time.process_time()

    factorize(V, rank, solver=solver, init=init, max_sweeps=sweeps, tol=0, jobs=1, on_sweep=between)
    # one read of V, the first (the start is in it) and the last (solved to tolerance) left out
    each = [cpu for (before, _), (reads, cpu) in pairwise(own[:-1]) if reads - before == 1]
    cpu, alone = statistics.median(each), statistics.median(products)
    return {"cpu": cpu, "products": alone, "flops": 4 * V.size * rank / cpu, "bytes": V.nbytes / cpu}


def threads(path: str, rank: int, solver: str) -> dict[str, Any]:
    """Wall time of the same default call, to its own end, on one thread and on two, in turn."""
    from nmfcompress import factorize

    V = np.load(path)
    walls: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(3):
        for jobs, seconds in walls.items():
            with Clock() as clock:
                found = factorize(V, rank, solver=solver, jobs=jobs)
            seconds.append(clock.times["wall"])
    return {"one": statistics.median(walls[1]), "two": statistics.median(walls[2]), "sweeps": len(found.records)}


def limits(path: str) -> dict[str, Any]:
    """The machine's own: float32 products, two threads of them over one, reading a file and memory."""
    from concurrent.futures import ThreadPoolExecutor

    X = np.ones((2000, 2000), np.float32)
    gemm = fastest(lambda: X @ X)
    with ThreadPoolExecutor(2) as pool:
        both = fastest(lambda: list(pool.map(lambda _: X @ X, range(2))), wall=True)
        one = fastest(lambda: X @ X, wall=True)
    long = np.ones(2**28, np.float32)  # 1 GB, more than caches hold
    memory = fastest(lambda: long @ long)
    buffer = np.empty_like(np.load(path))

    def read() -> None:
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    return {
        "gemm": 2 * 2000**3 / gemm, "two": 2 * one / both, "ram": long.nbytes / memory,
        "disk": buffer.nbytes / fastest(read),
    }  # fmt: skip


def fastest(work: Callable[[], object], wall: bool = False) -> float:
    """Seconds of the fastest of 7: a limit is what the machine can do."""
    clock = time.perf_counter if wall else time.process_time
    seconds = []
    for _ in range(7):
        began = clock()
        work()
        seconds.append(clock() - began)
    return min(seconds)


def per_row(path: str, rank: int, solver: str, repeats: int) -> dict[str, Any]:
    """CPU seconds per sweep and row of a stack on disk, sweeps 3 to 6 of a random start, without start and last solve.

    The start on a sample is for large sets only: with it, the small and the large would be at other stages.
    """
    from nmfcompress import factorize

    V = np.load(path, mmap_mode="r")
    V = V.reshape(len(V), -1)
    found = []
    for _ in range(repeats):
        stamps = []

        def look(record: Any, stamps: list[float] = stamps) -> None:
            stamps.append(time.process_time())
            if len(stamps) == 6:
                raise Enough

        try:
            factorize(V, rank, solver=solver, init="random", max_sweeps=100, tol=0, jobs=1, on_sweep=look)
        except Enough:
            found.append((stamps[5] - stamps[1]) / 4 / len(V))
    return {"cpu": statistics.median(found)}


def pictures(name: str) -> np.ndarray:
    """The pictures that a benchmark of the codec is about, as codecs are given them: see rate.py."""
    from PIL import Image, ImageSequence

    data = Path(os.environ["NMFC_DATA"])
    if name in ("train", "test"):
        with np.load(data / "mnist/mnist.npz") as arrays:
            return arrays[f"x_{name}"]
    if name == "samson":
        cube = np.load(data / "stacks/samson_bands_156x95x95_f32.npy")
        return np.rint(cube / cube.max() * 255).astype(np.uint8)
    if name == "calcium":
        with Image.open(data / "stacks/mouse_500x64x64_u16.tif") as file:
            movie = np.stack([np.asarray(frame, np.float64) for frame in ImageSequence.Iterator(file)])
        return np.rint((movie - movie.min()) / (movie.max() - movie.min()) * 255).astype(np.uint8)
    return np.asarray(Image.open(data / "kodak" / name).convert("RGB"))


def coded(name: str, kept: str | None = None, basis_from: str | None = None, **options: Any) -> dict[str, Any]:
    """Pictures through encode_stack (a photo: encode_image) and back; `kept`: where the file is left."""
    from nmfcompress import decode_image, decode_stack, encode_image, encode_stack, psnr

    images = pictures(name)
    single, given = name.startswith("kodim"), {}
    if basis_from is not None:
        given["basis_from"] = Path(basis_from).read_bytes()
    encode, decode = (encode_image, decode_image) if single else (encode_stack, decode_stack)
    with Clock() as encoding:
        data = encode(images, jobs=1, **options, **given)
    with Clock() as decoding:
        again = decode(data, **given)
    if kept is not None:
        Path(kept).write_bytes(data)
    return {
        "bytes": len(data),
        "psnr": psnr(images, again),
        "encode": encoding.times["cpu"],
        "decode": decoding.times["cpu"],
        "count": 1 if single else len(images),
        "pixels": images.shape[0] * images.shape[1],
    }


def rival(name: str, kind: str, qualities: list[int]) -> dict[str, Any]:
    """The same pictures through a codec of Pillow's: bytes and PSNR at each quality."""
    import io

    from PIL import Image

    from nmfcompress import psnr
    from nmfcompress.report.rivals import cut, mosaic

    images, found = pictures(name), []
    shown = images if name.startswith("kodim") else mosaic(images)
    for quality in qualities:
        file = io.BytesIO()
        if kind == "jpeg":
            Image.fromarray(shown).save(file, "JPEG", quality=quality, optimize=True, subsampling="4:2:0")
        else:
            Image.fromarray(shown).save(
                file, "AVIF", quality=quality, subsampling="4:2:0" if shown.ndim == 3 else "4:0:0"
            )
        again = np.asarray(Image.open(io.BytesIO(file.getvalue())).convert("RGB" if shown.ndim == 3 else "L"))
        again = again if name.startswith("kodim") else cut(again, images.shape)
        found.append([len(file.getvalue()), psnr(images, again)])
    return {"rates": found}


def small_file(name: str, rank: int) -> dict[str, Any]:
    """A rank-`rank` container by rows against np.savez of the float32 factors, and the PSNR of either."""
    import io

    from nmfcompress import decode_image, encode_image, factorize, psnr
    from nmfcompress.images.arrange import arrange_rows, restore_rows

    picture = pictures(name)
    found = factorize(arrange_rows(picture), rank, rng=0)
    file = io.BytesIO()
    np.savez(file, W=found.W, H=found.H)
    plain = np.clip(np.rint(restore_rows(found.W @ found.H, picture.shape) * 255), 0, 255).astype(np.uint8)
    data = encode_image(picture, rank=rank, arrangement="rows")
    return {
        "npz": len(file.getvalue()),
        "bytes": len(data),
        "lost": psnr(picture, plain) - psnr(picture, decode_image(data)),
    }


class Clock:
    """CPU time of this process and wall time between entering and leaving."""

    def __enter__(self) -> Clock:
        self._began = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        cpu, wall = time.process_time(), time.perf_counter()
        self.times = {"cpu": cpu - self._began[0], "wall": wall - self._began[1]}


def as_float(V: np.ndarray, dtype: type) -> np.ndarray:
    """V scaled to 0..1."""
    return np.multiply(V, dtype(1 / 255), dtype=dtype)


def verified(V: np.ndarray, W: np.ndarray, H: np.ndarray, divergence: str = "frobenius") -> float:
    """The loss of W and H, which must be finite and >= 0, in float64."""
    if not all(np.isfinite(X).all() and X.min() >= 0 for X in (W, H)):
        raise SystemExit("W or H has entries that are negative or not finite")
    W, H, loss = W.astype(np.float64), H.astype(np.float64), 0.0
    for i in range(0, len(V), 5000):
        part, fit = V[i : i + 5000] / 255, W[i : i + 5000] @ H
        if divergence == "kl":
            fit = np.maximum(fit, 1e-300)
            loss += float((part * np.log(np.where(part > 0, part, 1) / np.where(part > 0, fit, 1)) - part + fit).sum())
        else:
            loss += float(np.square(part - fit).sum())
    return loss if divergence == "kl" else float(np.sqrt(loss))


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    task.__name__: task
    for task in (
        ours,
        sweeps_to,
        held,
        scikit_learn,
        torchnmf,
        nimfa,
        sweep,
        threads,
        limits,
        per_row,
        coded,
        rival,
        small_file,
    )
}

if __name__ == "__main__":
    args, options = json.loads(sys.argv[2])
    print(json.dumps(TASKS[sys.argv[1]](*args, **options)))
