"""factors.npz: the factors of a collection, written; and its basis, read again for other images."""

from __future__ import annotations

import io
import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from ..errors import InputError, NmfcError, about
from ..factor.blocks import LARGEST
from ..images.archives import Stack
from ..images.files import display
from ..images.levels import Levels, shape_text
from ..images.limits import Limits
from ..images.named import read_arrays
from ..settings import Fit

WHAT = "a factors.npz of nmfc basis"


@dataclass(frozen=True, eq=False)
class Basis:
    """What a factors.npz says of the images that it was learned from.

    Parameters
    ----------
    path : str
    H : array, shape (rank, n), >= 0
    image_shape : tuple of int
        (h, w) or (h, w, channels), whose product is n.
    levels : Levels
        What 0 and 1 were in those images.
    fit : Fit
        How it was learned.
    """

    path: str
    H: np.ndarray
    image_shape: tuple[int, ...]
    levels: Levels
    fit: Fit

    def check(self, stack: Stack) -> None:
        """Raise InputError unless images of this collection may be made of it: of its shape, on its scale."""
        name, shape = display(self.path), tuple(stack.images.shape[1:])
        if shape != self.image_shape:
            raise InputError(f"its images are {shape_text(shape)}, those of {name} {shape_text(self.image_shape)}")
        here, there = stack.levels, self.levels
        # uint8, uint16 and floats within 0..1 all go from black to white; a range of its own only fits the same
        if (here.own or there.own) and (here.low, here.high) != (there.low, there.high):
            raise InputError(
                f"its values {here.low:g} to {here.high:g} are 0 to 1, in {name} {there.low:g} to {there.high:g} are "
                "(expected values of one scale, such as uint8)"
            )


def encode_factors(
    fit: Fit, stack: Stack, W: dict[str, np.ndarray], H: np.ndarray, name: str, basis_from: str | None
) -> bytes:
    """`W`, H, image_shape, labels if any, and the settings as JSON text; V is about W @ H, scaled by `levels`."""
    said = {**asdict(fit), "arrangement": "stack", "levels": asdict(stack.levels), "input": display(name)}
    del said["jobs"]
    if basis_from is not None:
        said["basis_from"] = display(basis_from)
    arrays = {
        **W,
        "H": H,
        "image_shape": np.array(stack.images.shape[1:]),
        "indices": stack.indices,
    }
    if stack.labels is not None:
        arrays["labels"] = stack.labels
    if stack.files:
        arrays["files"] = np.array(stack.files)
    file = io.BytesIO()
    np.savez_compressed(file, settings=np.array(json.dumps(said)), **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def read_basis(path: str, limits: Limits) -> Basis:
    """The basis of a factors.npz, all of which is doubted.

    Raises
    ------
    InputError
        The file cannot be read, is none, or is broken; it is named.
    """
    arrays = read_arrays(path, ("H", "image_shape", "settings"), limits, what=WHAT)
    with about(display(path)):
        missing = [name for name in ("H", "image_shape", "settings") if name not in arrays]
        if missing:
            raise InputError(f"is not {WHAT}: no {missing[0]} in it")
        try:
            return _basis(path, arrays["H"], arrays["image_shape"], _settings(arrays["settings"]))
        except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise InputError(f"is not {WHAT}, or a broken one ({type(error).__name__} in its settings)") from None
        except (ValueError, NmfcError) as error:
            raise InputError(f"is not {WHAT}, or a broken one: {' '.join(str(error).split())[:120]}") from None


def _settings(text: np.ndarray) -> dict[str, Any]:
    said = json.loads(str(text))
    if not isinstance(said, dict):
        raise ValueError("its settings are no JSON object")
    if said["arrangement"] != "stack":
        raise ValueError("it is not one image a row")
    return said


def _basis(path: str, H: np.ndarray, image_shape: np.ndarray, said: dict[str, Any]) -> Basis:
    known = {field.name for field in fields(Fit)} - {"jobs"}
    fit = Fit(said["rank"], divergence=said["divergence"], **{
        name: said[name] for name in known & said.keys() if name not in ("rank", "divergence")
    })  # fmt: skip
    if image_shape.dtype.kind not in "iu" or image_shape.ndim != 1 or len(image_shape) not in (2, 3):
        raise ValueError(f"image_shape is {image_shape.dtype.name} of {len(np.atleast_1d(image_shape))} numbers")
    shape = tuple(int(side) for side in image_shape)
    if min(shape) < 1 or (len(shape) == 3 and shape[2] != 3):
        raise ValueError(f"image_shape is {shape}")
    if H.shape != (fit.rank, math.prod(shape)) or H.dtype not in (np.float32, np.float64):
        raise ValueError(f"H is {H.shape} {H.dtype.name}, expected {(fit.rank, math.prod(shape))} of floats")
    if not (H.min() >= 0 and H.max() <= LARGEST):
        raise ValueError("H has negative, NaN or infinite values")
    levels = said["levels"]
    low, high = levels["low"], levels["high"]
    if not all(isinstance(x, int | float) and math.isfinite(x) for x in (low, high)) or low > high:
        raise ValueError("its levels are no range")
    return Basis(path, H, shape, Levels(str(levels["dtype"])[:20], low, high), fit)
