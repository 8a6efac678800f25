"""Make the sample images: ``python samples/make.py [FOLDER]`` (default: the folder of this file).

They are computed by nmfcompress/samples, which says what they are.
"""

import sys
from pathlib import Path

from nmfcompress.samples import files

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files():
        (folder / name).write_bytes(data)
