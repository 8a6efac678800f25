"""Images by non-negative matrix factorization: V ~ W @ H with small W, H >= 0.

from nmfcompress import factorize, read_image
picture = read_image("img.png")
found = factorize(picture.pixels, rank=3)       # grey; found.W @ found.H is the reconstruction
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# The names are imported when they are used: `nmfc --help` must not load NumPy.
_HOMES = {
    "Factorization": "factor.nmf",
    "NmfcError": "errors",
    "Picture": "images.picture",
    "Stack": "images.archives",
    "SweepRecord": "factor.sweeps",
    "decode_image": "codec.image",
    "decode_stack": "codec.collection",
    "encode_image": "codec.image",
    "encode_stack": "codec.collection",
    "factorize": "factor.nmf",
    "fit_image": "fits",
    "fit_stack": "fits",
    "info": "codec.opened",
    "psnr": "metrics",
    "read_image": "images.pictures",
    "read_stack": "images.stacks",
    "ssim": "metrics",
    "transform": "factor.nmf",
    "write_image": "images.saving",
}

if TYPE_CHECKING:
    from .codec.collection import decode_stack as decode_stack
    from .codec.collection import encode_stack as encode_stack
    from .codec.image import decode_image as decode_image
    from .codec.image import encode_image as encode_image
    from .codec.opened import info as info
    from .errors import NmfcError as NmfcError
    from .factor.nmf import Factorization as Factorization
    from .factor.nmf import factorize as factorize
    from .factor.nmf import transform as transform
    from .factor.sweeps import SweepRecord as SweepRecord
    from .fits import fit_image as fit_image
    from .fits import fit_stack as fit_stack
    from .images.archives import Stack as Stack
    from .images.picture import Picture as Picture
    from .images.pictures import read_image as read_image
    from .images.saving import write_image as write_image
    from .images.stacks import read_stack as read_stack
    from .metrics import psnr as psnr
    from .metrics import ssim as ssim

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
