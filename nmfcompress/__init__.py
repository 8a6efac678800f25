"""Images by non-negative matrix factorization: V ~ W @ H with small W, H >= 0."""

__version__ = "0.1.0"
