"""A fuzzer's process (atheris): what it imports of ours is instrumented, so this module imports nothing before that."""

from __future__ import annotations

import importlib
import pkgutil
import sys

ROOMS = ("codec", "images", "errors")


def main(door: str, words: list[str]) -> None:
    """Fuzz one door in this process, by libFuzzer's words; it never returns."""
    import atheris

    with atheris.instrument_imports(include=["nmfcompress"]):
        import nmfcompress

        for module in pkgutil.walk_packages(nmfcompress.__path__, "nmfcompress."):
            if module.name.split(".")[1] in ROOMS:
                importlib.import_module(module.name)

    from . import doors, mutations

    read = doors.READ[door]

    def one(data: bytes) -> None:
        read(data)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        """Half of the mutations of a container get right checksums."""
        changed = bytes(atheris.Mutate(data, most))
        return mutations.mended(changed)[:most] if seed % 2 else changed

    chosen = {"custom_mutator": mutate} if door == "container" else {}
    atheris.Setup([sys.argv[0], *words], one, **chosen)
    atheris.Fuzz()
