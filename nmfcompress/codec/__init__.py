"""W, H <-> bytes: arrays and bytes in and out, no files."""
