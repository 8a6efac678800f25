"""V -> W, H. Arrays only, NumPy only."""

from .nmf import Factorization, SweepRecord, factorize, transform

__all__ = ["Factorization", "SweepRecord", "factorize", "transform"]
