"""Fixtures that all tests share: the real data, where there are any, and the real `nmfc`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

# As the command line does, before NumPy is imported: other thread counts of BLAS give other bits on some machines.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402
import pytest  # noqa: E402

# A shell that runs the tests in the background has them ignore SIGINT, and so would every process that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "samples"


LONG = ("test_pages", "test_docs", "test_demo", "test_packaging", "test_bad_input", "test_scheduler", "test_collection")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first: the last one would keep one worker, and the others would wait."""
    items.sort(key=lambda item: item.path.stem not in LONG)


def pytest_report_header() -> str:
    data = os.environ.get("NMFC_DATA")
    return f"NMFC_DATA: {data}" if data else "NMFC_DATA: not set, tests on real data are skipped"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data, from the environment variable NMFC_DATA; without it the test is skipped."""
    folder = os.environ.get("NMFC_DATA")
    if not folder:
        pytest.skip("NMFC_DATA is not set")
    return Path(folder)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def samples() -> Path:
    return SAMPLES


Nmfc = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def nmfc(tmp_path: Path) -> Nmfc:
    """Run the real command in tmp_path: nmfc("compress", "a.png", "-k", 3, input=b"", env={...})."""

    def run(*args: object, **options: object) -> subprocess.CompletedProcess[bytes]:
        env = {k: v for k, v in os.environ.items() if not k.startswith("NMFC_")} | dict(options.pop("env", {}))  # type: ignore[call-overload]
        if "stdin" not in options and "input" not in options:
            options["stdin"] = subprocess.DEVNULL
        if not options.keys() & {"stdout", "stderr"}:
            options["capture_output"] = True
        options = {"cwd": tmp_path, "timeout": 120, **options}
        words = [a if isinstance(a, bytes) else str(a) for a in args]
        return subprocess.run([sys.executable, "-m", "nmfcompress", *words], env=env, **options)  # type: ignore[call-overload, no-any-return]

    return run
