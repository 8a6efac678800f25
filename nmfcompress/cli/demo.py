"""nmfc demo: both experiments on images that come with the program, command by command."""

from __future__ import annotations

import click

from .completing import complete_names

EXAMPLES = """
\b
Examples:
  nmfc demo
  nmfc demo -O /tmp/look -f
"""
FOLDER = "nmfc-demo"
# Each a line of words, of which DIR is the folder that everything goes to
STEPS = (
    ("Pictures from three parts", "compress DIR/samples/photo.png DIR/samples/grey.png --rank 3 -O DIR/pictures"),
    (
        "Ten digits from three parts each, by the rule of the textbooks",
        "compress DIR/samples/digits.npz --one-per-label --rank 3 --iterations 50 --inner 1 -O DIR/ten-digits",
    ),
    ("Ten parts that 1,800 digits share", "basis DIR/samples/digits.npz -k 10 -O DIR/shared-parts"),
    ("Stick figures, taken apart into their limbs", "basis DIR/samples/swimmer.npz -k 17 -O DIR/limbs"),
    ("The digits in one small file", "compress DIR/samples/digits.npz -o DIR/digits.nmfc --min-psnr 20"),
    ("Ten of them again", "decompress DIR/digits.nmfc --index 0-9 -O DIR/ten-again"),
)
LOOK = (
    ("pictures/photo.compare.png", "original, reconstruction and error of a picture from 3 parts"),
    ("pictures/photo.basis.png", "the 3 parts"),
    ("ten-digits/digits.compare.png", "ten digits from 3 parts each"),
    ("ten-digits/loss.png", "their loss, sweep by sweep"),
    ("shared-parts/basis.png", "10 parts that 1,800 digits share"),
    ("shared-parts/reconstructed.png", "digits put together from them"),
    ("limbs/basis.png", "stick figures taken apart into their 16 limbs"),
    ("digits.nmfc", "1,800 digits in some 17 KB; ten of them again in ten-again"),
)
MNIST = """\
The digits are drawn by the program. MNIST itself, in any layout in which it goes round, takes the same commands:
  mnist.npz                      x_train, y_train, x_test, y_test; Keras leaves it in ~/.keras/datasets after
                                 keras.datasets.mnist.load_data()
  train-images-idx3-ubyte.gz     the IDX files of yann.lecun.com/exdb/mnist, packed or not, labels beside the images;
                                 torchvision leaves them in MNIST/raw after datasets.MNIST(".", download=True),
                                 and ossci-datasets.s3.amazonaws.com/mnist/ has them
  mnist-original.mat             data, label: once of mldata.org
  an array of your own           numpy.savez("mine.npz", images=X, labels=y), X of n x 28 x 28 or n x 784; of a CSV that
                                 begins with the label: t = numpy.loadtxt("mnist.csv", "u1", delimiter=",", skiprows=1),
                                 X, y = t[:, 1:], t[:, 0]
Then: nmfc compress mnist.npz --one-per-label --rank 3 --iterations 50 --inner 1
      nmfc basis mnist.npz -k 10"""


@click.command("demo", epilog=EXAMPLES)
@click.option(
    "-O", "--output-dir", "folder", default=FOLDER, show_default=True, metavar="DIR", help="Where everything goes."
)
@click.option("-f", "--force", is_flag=True, help="Overwrite what is there from an earlier time.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def command(folder: str, force: bool, debug: bool) -> int:
    """Write sample images into a folder and run both experiments on them, showing each command.

    Pictures from three parts, ten digits from three parts each with their losses, the ten parts that 1,800 digits
    share, and the digits in one small file. It ends with what to look at, and where MNIST can be had. Nothing is
    fetched. It takes about ten seconds.
    """
    import os
    import shlex

    from ..errors import OutputError
    from ..images.files import display, make_folder, write_bytes
    from ..samples import files
    from .main import nmfc
    from .streams import tell

    folder = os.path.join(os.curdir, folder) if folder.startswith("-") else folder  # it must not read as an option
    make_folder(folder)
    if not force and os.listdir(folder):
        raise OutputError("is not empty (pass -f to overwrite what is in it, or name another by -O)", display(folder))
    samples = os.path.join(folder, "samples")
    tell(f"The sample images, into {display(samples)}\n")
    make_folder(samples)
    for name, data in files():
        write_bytes(os.path.join(samples, name), data, overwrite=force)
    for title, line in STEPS:
        words = [word.replace("DIR", folder) for word in line.split()] + (["-f"] if force else [])
        tell(f"{title}\n$ nmfc {display(shlex.join(words))}")
        code = nmfc.main(words, prog_name="nmfc", standalone_mode=False)
        if code:
            return int(code)
        tell("")
    tell("\n".join(["Now look at", *_look(folder), "", MNIST]))
    return 0


def _look(folder: str) -> list[str]:
    """What is there to look at, a line each."""
    import os

    from ..images.files import display

    lines = []
    for name, words in LOOK:
        if not os.path.exists(os.path.join(folder, name)):  # without Matplotlib there is the table only
            name, words = "ten-digits/loss.csv", f"{words} (pip install 'nmfcompress[plot]' draws it)"
        lines.append(f"  {display(os.path.join(folder, name)):<{len(folder) + 32}} {words}")
    return lines


complete_names(command)
