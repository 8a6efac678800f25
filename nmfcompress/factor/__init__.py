"""V -> W, H. Arrays only, NumPy only."""

from .nmf import Factorization, factorize, transform
from .sweeps import SweepRecord

__all__ = ["Factorization", "SweepRecord", "factorize", "transform"]
