"""Collections from folders, lists, several-frame files and archives; and masks for them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nmfcompress.errors import InputError, TooLarge, UsageError
from nmfcompress.images.limits import Limits
from nmfcompress.images.masks import read_mask
from nmfcompress.images.picture import luma
from nmfcompress.images.stacks import is_archive, read_stack, to_gray

GREYS = np.random.default_rng(3).integers(0, 256, (5, 7, 9), dtype=np.uint8)
COLOURS = np.random.default_rng(4).integers(0, 256, (5, 7, 9, 3), dtype=np.uint8)
DEEP = np.random.default_rng(5).integers(0, 65536, (5, 7, 9), dtype=np.uint16)


def save(pixels, path, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def pictures(folder, images, kind="png"):
    """One file an image, written backwards: the order must be that of the names."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{i:03}.{kind}" for i in range(len(images))]
    for path, image in reversed(list(zip(paths, images, strict=True))):
        save(image, path)
    return paths


@pytest.mark.parametrize("images", [GREYS, COLOURS, DEEP], ids=["grey", "colour", "16 bit"])
@pytest.mark.parametrize("kind", ["png", "tif"])
def test_folders_and_lists_of_pictures(images, kind, tmp_path):
    if images is DEEP and kind == "tif":
        kind = "tiff"
    paths = pictures(tmp_path / "in", images, kind)
    (tmp_path / "in" / "notes.txt").write_text("not a picture")
    (tmp_path / "in" / "below").mkdir()
    for source in (tmp_path / "in", str(tmp_path / "in"), paths, [str(p) for p in paths]):
        stack = read_stack(source)
        np.testing.assert_array_equal(stack.images, images)
        assert stack.images.dtype == images.dtype
        assert stack.indices.tolist() == list(range(5))
        assert stack.labels is None
        assert not stack.single
    np.testing.assert_array_equal(read_stack(paths[::-1]).images, images[::-1])
    np.testing.assert_array_equal(read_stack(paths[:1]).images, images[:1])


@pytest.mark.parametrize("images", [GREYS, COLOURS], ids=["grey", "colour"])
def test_pages_of_a_tiff_are_a_stack(images, tmp_path):
    first, *others = [Image.fromarray(image) for image in images]
    path = tmp_path / "pages.tif"
    first.save(path, save_all=True, append_images=others)
    for source in (path, path.read_bytes(), [path]):
        np.testing.assert_array_equal(read_stack(source).images, images)


def test_frames_of_an_animation_are_a_stack(tmp_path):
    """Few colours, so that GIF keeps them; every frame a whole picture although the file holds differences."""
    images = np.zeros((4, 8, 8, 3), np.uint8)
    for i in range(4):
        images[i, :, :, 0] = 255
        images[i, i : i + 3, 2:5] = (0, 60 * i, 255)
    first, *others = [Image.fromarray(image) for image in images]
    path = tmp_path / "moves.gif"
    first.save(path, save_all=True, append_images=others, duration=50)
    stack = read_stack(path)
    np.testing.assert_array_equal(stack.images, images)
    gray = read_stack(path, gray=True)
    np.testing.assert_array_equal(gray.images, np.stack([luma(image) for image in images]))


@pytest.mark.parametrize("labelled", [False, True])
def test_an_npz_is_a_stack(labelled, tmp_path):
    labels = {"labels": np.array([3, 1, 4, 1, 5])} if labelled else {}
    np.savez(tmp_path / "a.npz", images=GREYS, **labels)
    stack = read_stack(tmp_path / "a.npz")
    np.testing.assert_array_equal(stack.images, GREYS)
    assert (stack.labels is None) if not labelled else (stack.labels.tolist() == [3, 1, 4, 1, 5])


@pytest.mark.parametrize("images", [COLOURS, COLOURS.astype(np.float32) / 255], ids=["uint8", "float32"])
def test_colour_archives_become_grey_on_request(images, tmp_path):
    np.save(tmp_path / "a.npy", images)
    stack = read_stack(tmp_path / "a.npy", gray=True)
    assert stack.images.dtype == images.dtype
    np.testing.assert_array_equal(stack.images, np.stack([luma(image) for image in images]))
    np.savez(tmp_path / "grey.npz", images=GREYS)
    np.testing.assert_array_equal(read_stack(tmp_path / "grey.npz", gray=True).images, GREYS)


def test_to_gray_is_pillows_luma():
    expected = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in COLOURS])
    np.testing.assert_array_equal(to_gray(COLOURS), expected)
    np.testing.assert_array_equal(to_gray(COLOURS[0]), expected[0])
    assert to_gray(GREYS[0]) is not None
    np.testing.assert_array_equal(to_gray(GREYS[0]), GREYS[0])


# Pictures that differ


def test_another_size_is_one_error_with_the_file_and_both_sizes(tmp_path):
    paths = pictures(tmp_path / "in", GREYS)
    save(GREYS[0, :5, :4], paths[3])
    with pytest.raises(InputError) as caught:
        read_stack(paths)
    assert caught.value.source.endswith("003.png")
    for words in ("4 x 5", "9 x 7", "--resize 9x7"):
        assert words in caught.value.message


@pytest.mark.parametrize("images", [GREYS, COLOURS, DEEP], ids=["grey", "colour", "16 bit"])
def test_resize_brings_all_to_one_size(images, tmp_path):
    paths = pictures(tmp_path / "in", images)
    save(np.ascontiguousarray(images[0, :5, :4]), paths[3])
    stack = read_stack(paths, resize=(9, 7))
    assert stack.images.shape == images.shape
    assert stack.images.dtype == images.dtype
    np.testing.assert_array_equal(np.delete(stack.images, 3, 0), np.delete(images, 3, 0))
    small = read_stack(paths[:3], resize=(3, 2))
    assert small.images.shape == (3, 2, 3, *images.shape[3:])
    np.testing.assert_allclose(small.images.mean(), images[:3].mean(), rtol=0.2)


def test_resize_keeps_what_is_constant_and_makes_no_new_levels(tmp_path):
    half = np.zeros((8, 8), np.uint8)
    half[:, 4:] = 255
    paths = [save(half, tmp_path / "a.png"), save(np.full((6, 6), 77, np.uint8), tmp_path / "b.png")]
    images = read_stack(paths, resize=(20, 20)).images
    assert (images[1] == 77).all()
    assert images[0].min() == 0
    assert images[0].max() == 255


def test_resize_is_not_for_archives(tmp_path):
    np.savez(tmp_path / "a.npz", images=GREYS)
    with pytest.raises(UsageError, match="resize is for pictures"):
        read_stack(tmp_path / "a.npz", resize=(3, 3))


def test_grey_pictures_join_a_colour_collection_but_not_the_other_way(tmp_path):
    colour, grey = save(COLOURS[0], tmp_path / "colour.png"), save(GREYS[0], tmp_path / "grey.png")
    stack = read_stack([colour, grey])
    np.testing.assert_array_equal(stack.images, [COLOURS[0], np.repeat(GREYS[0][:, :, None], 3, axis=2)])
    with pytest.raises(InputError, match=r"colour\.png: is in colour.*--gray"):
        read_stack([grey, colour])
    np.testing.assert_array_equal(read_stack([grey, colour], gray=True).images, [GREYS[0], luma(COLOURS[0])])


def test_depths_do_not_mix(tmp_path):
    paths = [save(GREYS[0], tmp_path / "8.png"), save(DEEP[0], tmp_path / "16.png")]
    for order in (paths, paths[::-1]):
        with pytest.raises(InputError, match=r"uint\d+ values.*uint\d+ values"):
            read_stack(order)


def test_what_was_left_out_is_counted(tmp_path):
    paths = pictures(tmp_path / "in", COLOURS)
    for path in paths[:2]:
        Image.fromarray(COLOURS[0]).convert("RGBA").save(path)
        Image.fromarray(np.dstack([COLOURS[0], GREYS[0]])).save(path)
    assert any(note.startswith("alpha") and "2 of 5 images" in note for note in read_stack(paths).notes)


# What is no collection


def test_what_cannot_be_a_collection_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="folder without pictures"):
        read_stack(tmp_path / "empty")
    with pytest.raises(UsageError, match="no pictures"):
        read_stack([])
    with pytest.raises(InputError, match=r"missing\.png"):
        read_stack(tmp_path / "missing.png")
    np.savez(tmp_path / "a.npz", images=GREYS)
    picture = save(GREYS[0], tmp_path / "a.png")
    for mixed in ([picture, tmp_path / "a.npz"], [tmp_path / "a.npz", picture], [tmp_path / "a.npz"] * 2):
        with pytest.raises(UsageError, match="is an archive"):
            read_stack(mixed)
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(InputError, match=r"text\.png"):
        read_stack([picture, tmp_path / "text.png"])


def test_more_memory_than_allowed_is_refused_before_it_is_taken(tmp_path):
    path = save(np.zeros((100, 100), np.uint8), tmp_path / "a.png")
    with pytest.raises(TooLarge, match="a picture of 10,000 pixels"):
        read_stack([path] * 1000, limits=Limits(max_memory=10**5))


def test_archives_are_known_by_their_content(tmp_path):
    with open(tmp_path / "a.png", "wb") as file:
        np.savez(file, images=GREYS)
    save(GREYS[0], tmp_path / "b.npz", format="png")
    assert is_archive(str(tmp_path / "a.png"))
    assert is_archive((tmp_path / "a.png").read_bytes())
    assert not is_archive(str(tmp_path / "b.npz"))
    np.testing.assert_array_equal(read_stack(tmp_path / "b.npz").images, GREYS[:1])


# Masks


KNOWN = np.random.default_rng(6).random((7, 9)) < 0.6


def mask_file(folder, array, kind):
    path = folder / f"mask.{kind}"
    if kind == "png":
        save(array, path)
    elif kind == "npy":
        np.save(path, array)
    else:
        np.savez(path, mask=array)
    return str(path)


@pytest.mark.parametrize(
    ("kind", "dtypes"),
    [
        ("png", ["uint8", "bool", "uint16"]),
        ("npy", ["uint8", "bool", "uint16", "int64", "float32"]),
        ("npz", ["uint8", "bool", "uint16", "int64", "float32"]),
    ],
)
@pytest.mark.parametrize("level", [1, 200])
def test_a_mask_is_known_where_it_is_not_0(kind, dtypes, level, tmp_path):
    for dtype in dtypes:
        found = read_mask(mask_file(tmp_path, (KNOWN * level).astype(dtype), kind), (7, 9), Limits())
        assert found.dtype == bool
        np.testing.assert_array_equal(found, KNOWN)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float64])
def test_a_mask_without_a_0_hides_nothing(dtype, tmp_path):
    """Also where its least value is what scaling by its own range makes 0."""
    weights = np.where(KNOWN, 5, 2).astype(dtype)
    assert read_mask(mask_file(tmp_path, weights, "npy"), (7, 9), Limits()).all()
    assert read_mask(mask_file(tmp_path, np.full((7, 9), 3, dtype), "npy"), (7, 9), Limits()).all()


def test_any_channel_makes_a_pixel_known(tmp_path):
    channels = np.zeros((7, 9, 3), np.uint8)
    channels[..., 2] = KNOWN
    for kind in ("png", "npy"):
        np.testing.assert_array_equal(read_mask(mask_file(tmp_path, channels, kind), (7, 9), Limits()), KNOWN)


def test_a_mask_for_each_image(tmp_path):
    each = np.random.default_rng(1).random((5, 7, 9)) < 0.5
    path = mask_file(tmp_path, each, "npz")
    np.testing.assert_array_equal(read_mask(path, (5, 7, 9), Limits()), each)
    with pytest.raises(InputError, match="mask of"):
        read_mask(path, (7, 9), Limits())
    one = mask_file(tmp_path, KNOWN, "npy")
    np.testing.assert_array_equal(read_mask(one, (5, 7, 9), Limits()), KNOWN)


def test_a_mask_that_does_not_fit_is_refused(tmp_path):
    path = mask_file(tmp_path, KNOWN, "npy")
    with pytest.raises(InputError, match=r"mask.npy: is a mask of 9 x 7, the pictures are 7 x 9"):
        read_mask(path, (9, 7), Limits())
    with pytest.raises(InputError, match="without any known pixel"):
        read_mask(mask_file(tmp_path, np.zeros((7, 9), np.uint8), "png"), (7, 9), Limits())
    with pytest.raises(InputError, match="missing"):
        read_mask(str(tmp_path / "missing.npy"), (7, 9), Limits())
