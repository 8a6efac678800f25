"""The command line: the only room that prints."""

import os
import signal
from typing import NoReturn


def entry() -> NoReturn:
    """Where `nmfc` begins: an interruption before the rest is loaded ends it with the right code and no traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    from .main import main

    main()
