"""Make the sample images: ``python samples/make.py [FOLDER]`` (default: the folder of this file).

All four are computed, so that they are ours to ship, and every run writes the same bytes:

- ``photo.png``, 480 x 320 RGB: a mountain lake in the evening, a height field seen in perspective;
- ``grey.png``, 320 x 240 grey: a house front behind a tree, a relief in slanting light;
- ``digits.npz``, in MNIST's layout: 1,800 + 200 digits of 28 x 28, drawn with a pen that wobbles;
- ``swimmer.npz``: the 256 stick figures of Donoho and Stodden, whose parts are known.

Needs NumPy and Pillow only. Pictures are computed in float64 at twice their size and averaged down.
"""

import io
import itertools
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

# ---------------------------------------------------------------- tools


def noise(rng, shape, slope):
    """Return periodic noise whose amplitude falls as frequency ** -slope (0 is white, 1 clouds, 2 hills).

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the white noise comes from.
    shape : tuple of int
        Height and width.
    slope : float
        How smooth the result is.

    Returns
    -------
    numpy.ndarray
        ``shape`` floats of mean 0 and standard deviation 1.
    """
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * frequency**-slope if slope else 1, s=shape)
    return field / field.std()


def sample(field, y, x):
    """Return the values of a periodic field at fractional positions, bilinearly interpolated."""
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    y, x = y - top, x - left
    height, width = field.shape
    top, below, left, right = top % height, (top + 1) % height, left % width, (left + 1) % width
    upper = field[top, left] * (1 - x) + field[top, right] * x
    lower = field[below, left] * (1 - x) + field[below, right] * x
    return upper * (1 - y) + lower * y


def step(low, high, x):
    """Return the smooth step from 0 (at or below low) to 1 (at or above high)."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a, b, t):
    """Return a where t is 0, b where t is 1; t gets a colour axis."""
    return a + (np.asarray(b) - a) * t[..., None]


def halve(picture):
    """Return the means of 2 x 2 pixels."""
    return (picture[::2, ::2] + picture[1::2, ::2] + picture[::2, 1::2] + picture[1::2, 1::2]) / 4


def to_uint8(picture):
    """Return 0..1 floats as rounded and clipped bytes."""
    return np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)


# ---------------------------------------------------------------- photo.png

HORIZON, FOCAL = 372, 960  # in rows and pixels of the double-size picture
EYE = 9.0  # height of the camera above the lake, in cells of the height field


def terrain(rng, size=1024):
    """Return the height field of a valley with a lake, and how much evening light falls on each cell."""
    z, x = np.mgrid[:size, :size] + 0.0
    ridges = sum(0.5**i * (1.1 - np.abs(noise(rng, (size, size), 2.2 - 0.2 * i))) for i in range(3))
    rough = noise(rng, (size, size), 2.1)
    spurs = 0.5 + 0.5 * np.sin(z / 38 + 1.6 * np.tanh((x - 512) / 70))
    across = np.abs(x - 500 - 30 * np.sin(z / 110)) / (0.1 * z + 46 + 22 * spurs)
    rise = step(0.8, 4.2, across) + 0.7 * step(400, 900, z)
    peak = np.clip(1 - np.hypot((x - 585) / 260, (z - 800) / 230), 0, 1) ** 1.2
    height = -5 + rise * (60 + 62 * ridges + 18 * rough + 40 * spurs) + peak * (150 + 50 * ridges + 16 * rough)
    height += 4 * noise(rng, (size, size), 1.5) * step(0, 0.3, rise)
    lit = height + 0.34 * x  # the sun is low on the left: a ray that has passed a higher cell is lost
    lit = step(-5, 1, lit - np.maximum.accumulate(lit, axis=1))
    dz, dx = np.gradient(height)
    light = np.clip((dx * 0.9 + 0.36 + dz * 0.25) / np.sqrt(1 + dx**2 + dz**2), 0, None) * lit
    return height, light


def sky(elevation, azimuth, clouds):
    """Return the colour of the sky at tangents of elevation and azimuth."""
    up = np.clip(elevation, 0, None)
    colour = mix(np.array([0.98, 0.74, 0.52]), [0.62, 0.68, 0.78], step(0, 0.2, up))
    colour = mix(colour, [0.22, 0.38, 0.63], step(0.08, 0.45, up))
    glow = np.exp(-np.hypot(azimuth + 0.42, (up - 0.06) * 1.6) * 4.5)
    colour = colour + glow[..., None] * [0.5, 0.28, 0.05]
    far = 260 / (up + 0.12)
    density = sample(clouds, far * 0.55, azimuth * far * 0.28)
    ahead = sample(clouds, far * 0.55, azimuth * far * 0.28 - 9)
    cover = step(0.05, 1.6, density) * step(0.02, 0.16, up) * 0.85
    shine = np.clip(0.55 + 0.6 * (density - ahead), 0, 1)
    return mix(colour, mix(np.array([0.56, 0.50, 0.58]), [1.0, 0.82, 0.66], shine), cover)


def look(eye, shape, fields):
    """Return the view over a height field, and where the lake is seen in it.

    Parameters
    ----------
    eye : float
        Height of the camera above the lake; minus that height sees what the lake mirrors, the right way up.
    shape : tuple of int
        Rows and columns of the view.
    fields : tuple of numpy.ndarray
        Height, light, speckle of the ground, clouds.

    Returns
    -------
    tuple of numpy.ndarray
        Colours (rows, columns, 3), and a mask (rows, columns).
    """
    height, light, grain, clouds = fields
    rows, columns = np.arange(shape[0]), np.arange(shape[1])
    z = np.geomspace(16, 1010, 800)[:, None]
    slope = (columns - shape[1] / 2) / FOCAL
    h = np.maximum(sample(height, z, 512 + slope * z), 0)
    tops = HORIZON - FOCAL * (h - eye) / z  # the row up to which each sample hides what is behind it
    start = 1.02 * FOCAL * -eye / (HORIZON - rows) if eye < 0 else 0 * rows  # mirrored rays begin at the lake
    hidden = [(tops[:, c, None] <= rows + 0.5) & (z > start) for c in columns]
    seen = np.stack([column.any(axis=0) for column in hidden], axis=1)
    hit = np.stack([column.argmax(axis=0) for column in hidden], axis=1)
    z = z[hit, 0]
    x = 512 + slope * z
    up, sun, speck = sample(height, z, x), sample(light, z, x), sample(grain, z * 3, x * 3)
    steep = 1 - np.minimum(sample(np.hypot(*np.gradient(height)), z, x), 2) / 2
    ground = mix(np.array([0.36, 0.32, 0.29]), [0.13, 0.17, 0.08], step(80, 40, up + 10 * speck))
    ground = mix(ground, [0.30, 0.27, 0.16], step(4, 1, up))
    ground = mix(ground, [0.93, 0.93, 0.96], step(95, 130, up + 12 * speck + 40 * (steep - 0.6)))
    ground = ground * (1 + 0.16 * speck[..., None])
    colour = ground * (sun[..., None] * [1.75, 1.22, 0.72] + [0.27, 0.34, 0.46])
    elevation = (HORIZON - rows)[:, None] / FOCAL + 0 * slope
    haze = sky(np.full_like(elevation, 0.09), slope + 0 * elevation, 0 * clouds)
    colour = mix(colour, haze * [0.80, 0.86, 0.92], 1 - np.exp(-(np.maximum(z - 60, 0)) / 900))
    behind = sky(elevation, slope + 0 * elevation, clouds)
    return np.where(seen[..., None], colour, behind), seen & (h[hit, columns] == 0)


def photo(rng):
    """Return a mountain lake in the evening, (320, 480, 3) uint8."""
    shape = (640, 960)
    fields = (*terrain(rng), noise(rng, (1024, 1024), 0.8), noise(rng, (512, 512), 1.5))
    picture, lake = look(EYE, shape, fields)
    mirror, _ = look(-EYE, (HORIZON, shape[1]), fields)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    distance = FOCAL * EYE / np.maximum(rows - HORIZON + 0.5, 0.5)
    ripples = noise(rng, (512, 512), 1.0)
    wave = sample(ripples, distance * 1.5, (columns - 480) / FOCAL * distance * 0.7)
    shift = wave * np.clip((rows - HORIZON) / 22, 0, 9)
    source = np.clip(2 * HORIZON - rows + shift, 0, HORIZON - 1).astype(int)
    shine = np.clip(0.9 - (rows - HORIZON) / 620 + 0.06 * wave, 0, 1)
    reflected = mix(np.array([0.04, 0.09, 0.12]), mirror[source, columns], shine)
    picture = halve(np.where(lake[..., None], reflected, picture))
    r2 = ((np.arange(320) - 160) / 200)[:, None] ** 2 + ((np.arange(480) - 240) / 300) ** 2
    picture = picture * (1.04 - 0.16 * r2)[..., None]
    picture = picture + 0.006 * rng.standard_normal((320, 480, 1))
    return to_uint8(picture)


# ---------------------------------------------------------------- grey.png

LIGHT = (0.8, 0.6)  # where shadows fall: rows down and columns right, for each pixel of depth


def front(rng, shape):
    """Return the relief of a house front in pixels, and its albedo."""
    relief = np.zeros(shape)
    albedo = 0.70 + 0.025 * noise(rng, shape, 1.0)
    albedo += 0.02 * noise(rng, shape, 1.1).mean(axis=0) * 6  # rain has run down the plaster

    def block(top, left, height, width, depth, shade=None):
        place = slice(max(top, 0), top + height), slice(max(left, 0), left + width)
        relief[place] = depth
        if shade is not None:
            albedo[place] = shade + 0.02 * noise(rng, albedo[place].shape, 0.7)

    for top, height, depth in ((0, 18, 24), (18, 8, 15), (26, 6, 8), (158, 5, 5), (300, 7, 7), (440, 40, 5)):
        block(top, 0, height, shape[1], depth, 0.76)
    for top in range(326, 440, 19):
        block(top, 0, 3, shape[1], -3)
    for floor, (top, height) in enumerate(((62, 76), (188, 92), (334, 96))):
        for left in range(36, 640, 124):
            if floor == 2 and left == 284:  # the door
                block(top - 6, left - 14, 150, 92, 5, 0.74)
                block(top + 4, left - 4, 140, 72, -16, 0.24)
                for panel in range(3):
                    block(top + 14 + 42 * panel, left + 4, 32, 26, -19, 0.19)
                    block(top + 14 + 42 * panel, left + 34, 32, 26, -19, 0.19)
                continue
            block(top - 8, left - 8, height + 14, 80, 4, 0.78)
            block(top - 14, left - 12, 7, 88, 11, 0.80)
            block(top + height, left - 11, 7, 86, 9, 0.80)
            block(top, left, height, 64, -9, 0.86)
            curtain = rng.random() < 0.4
            for y, x in itertools.product((0, 1), (0, 1)):
                upper, lower = top + 4 + y * height // 3, top + (height - 3 if y else height // 3)
                pane = slice(upper, lower), slice(left + 4 + 30 * x, left + 30 + 30 * x)
                rows = np.linspace(0, 1, lower - upper)[:, None]
                relief[pane] = -12
                glass = 0.30 - 0.20 * (rows + y) / 2 + 0.04 * noise(rng, (len(rows), 26), 1.6)
                folds = 0.42 + 0.06 * np.sin(np.arange(26) * 0.9 + x) - 0.1 * rows
                albedo[pane] = np.where(curtain & (np.abs(np.arange(26) + 30 * x - 28) > 12), folds, glass)
            if floor == 0 and rng.random() < 0.6:  # open shutters
                for side in (left - 36, left + 66):
                    block(top - 2, side, height + 4, 33, 6, 0.40)
                    for y in range(top + 2, top + height - 2, 5):
                        block(y, side + 4, 2, 25, 3, 0.34)
    return relief, albedo


def cast(mask, depth):
    """Return the soft shadow of a mask that floats ``depth`` pixels before the wall."""
    down, right, margin = round(LIGHT[0] * depth), round(LIGHT[1] * depth), 32
    moved = np.pad(mask, ((down + margin, margin), (right + margin, margin)))
    for axis, width in itertools.product((0, 1), (2 + depth // 14, 1 + depth // 9)):
        moved = sum(np.roll(moved, i - width // 2, axis=axis) for i in range(width)) / width
    return moved[margin : margin + mask.shape[0], margin : margin + mask.shape[1]]


def tree(rng, shape):
    """Return the shades of a tree, and its mask."""
    shade, mask = Image.new("L", shape[::-1]), Image.new("L", shape[::-1])
    draw, cover = ImageDraw.Draw(shade), ImageDraw.Draw(mask)
    twigs, leaves = [(96.0, 500.0, -1.52, 15.0)], []
    while twigs:
        x, y, angle, width = twigs.pop()
        length = 26 + 6.2 * width * rng.uniform(0.7, 1.1)
        end = x + length * np.cos(angle), y + length * np.sin(angle)
        for side, tone in ((0, 52), (-width / 4, 92)):
            thick = max(1, round(width if side == 0 else width / 3))
            draw.line((x + side, y, end[0] + side * 0.7, end[1]), fill=tone, width=thick)
        cover.line((x, y, *end), fill=255, width=max(1, round(width)))
        if width > 1.6:
            for turn in (-0.52, 0.06, 0.50):
                twigs.append((*end, angle + turn + rng.normal(0, 0.14), width * rng.uniform(0.52, 0.70)))
        if width < 5:
            leaves.append(end)
    centres = np.repeat(leaves, 9, axis=0)
    centres = centres + rng.normal(0, 11, centres.shape)
    middle = centres.mean(axis=0)
    sizes, chances = rng.uniform(2, 4.6, len(centres)), rng.normal(0, 30, len(centres))
    for (x, y), size, luck in zip(centres, sizes, chances, strict=True):
        bright = 84 - 0.22 * (x - middle[0]) - 0.36 * (y - middle[1]) + luck
        box = (x - size, y - size * 0.7, x + size, y + size * 0.7)
        draw.ellipse(box, fill=int(np.clip(bright, 22, 205)))
        cover.ellipse(box, fill=255)
    return np.asarray(shade) / 255, np.asarray(mask) / 255


def grey(rng):
    """Return a house front behind a tree in slanting light, (240, 320) uint8."""
    shape = (480, 640)
    relief, albedo = front(rng, shape)
    lit = np.ones(shape)
    for s in range(1, 44):  # the sun is up on the left: is there something higher on the way to it?
        way = round(LIGHT[0] * s), round(LIGHT[1] * s)
        higher = np.roll(relief, way, axis=(0, 1)) - relief - s
        higher[: way[0]] = -1
        lit = np.minimum(lit, np.clip(1 - higher / 1.5, 0, 1))
    bars = np.zeros(shape)
    for left in (140, 388):
        bars[234:290, left : left + 104 : 6] = bars[235:290, left + 1 : left + 104 : 6] = 1
        bars[232:236, left : left + 104] = bars[282:290, left - 4 : left + 108] = 1
    shade, mask = tree(rng, shape)
    lit = lit * (1 - cast(bars, 20)) * (1 - 0.94 * cast(mask, 90))
    edges = sum(a * b for a, b in zip(np.gradient(relief), LIGHT, strict=True))
    picture = albedo * (0.30 + 0.86 * lit * np.clip(0.86 + 0.05 * edges, 0.4, 1.25))
    picture = picture + (0.16 + 0.12 * lit - picture) * bars
    picture = picture + (shade - picture) * mask
    rows, columns = np.mgrid[:240, :320]
    picture = halve(picture) * (1.03 - 0.2 * ((rows / 240 - 0.45) ** 2 + (columns / 320 - 0.45) ** 2))
    return to_uint8(picture + 0.008 * rng.standard_normal((240, 320)))


# ---------------------------------------------------------------- digits.npz

PEN = {  # digit: ways of writing it; a way is some strokes, a stroke some points (x right, y down) on a smooth curve
    0: ["50,0 18,14 2,50 16,88 50,100 84,86 98,50 82,12 50,0"],
    1: ["50,0 50,50 50,100", "22,22 50,0/50,0 50,50 50,100", "60,0 50,50 40,100"],
    2: [
        "6,24 26,4 62,0 86,20 74,48 40,78 4,99/4,99 50,97 98,96",
        "8,20 34,1 72,6 82,28 62,60 24,90 8,88 14,74 36,80 66,98 96,94",
    ],
    3: [
        "8,12 44,0 82,14 74,38 36,48/36,48 78,56 90,78 54,100 4,88",
        "6,4 50,3 84,3/84,3 44,42/44,42 84,54 88,82 50,100 4,88",
    ],
    4: ["20,2 10,30 6,58/6,58 50,57 98,54/76,6 72,50 68,100", "66,0 34,34 2,66/2,66 50,66 98,64/66,0 66,50 66,100"],
    5: ["90,1 56,3 24,4/24,4 20,24 14,44/14,44 48,36 84,50 86,80 50,100 6,90"],
    6: ["76,0 38,20 10,60 18,92 52,100 84,84 76,58 46,52 14,74", "50,0 20,34 6,70 28,98 66,98 84,74 58,56 26,62 10,82"],
    7: ["4,5 48,4 94,3/94,3 64,46 42,100", "4,5 48,4 94,3/94,3 64,46 42,100/34,50 60,49 86,48"],
    8: ["84,14 48,0 18,18 40,44 80,70 64,98 24,96 14,72 54,46 88,24 84,14"],
    9: [
        "86,22 54,1 18,16 20,44 54,50 86,22/86,22 82,60 66,100",
        "84,16 46,2 16,22 32,48 70,42 84,16/84,16 88,60 62,96 24,92",
    ],
}


def strokes(way, pieces=6):
    """Return the segments of a way to write a digit, as (number, 2, 2): begin and end, x and y in 0..1."""
    segments = []
    for stroke in way.split("/"):
        points = np.array([[float(number) / 100 for number in point.split(",")] for point in stroke.split()])
        closed = (points[0] == points[-1]).all()
        before, after = (points[-2], points[1]) if closed else (2 * points[0] - points[1], 2 * points[-1] - points[-2])
        padded = np.vstack([before, points, after])
        t = np.arange(pieces)[:, None] / pieces
        curve = [  # Catmull and Rom's spline passes through its points
            b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
            for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False)
        ]
        curve = np.vstack([*curve, points[-1:]])
        segments.append(np.stack([curve[:-1], curve[1:]], axis=1))
    return np.concatenate(segments)


def write(rng, way, count):
    """Return ``count`` versions of a way to write a digit, (count, 28, 28) uint8, ink within the middle 20 x 20."""
    points = strokes(way)[None] * [0.70, 1.0]
    for frequency, amplitude in ((0.6, 0.09), (1.0, 0.022)):  # the same bend for all strokes, so that they stay joined
        waves = rng.normal(0, frequency, (count, 1, 1, 2, 2))
        phase = rng.uniform(0, 2 * np.pi, (count, 1, 1, 2))
        points = points + amplitude * np.sin(2 * np.pi * (waves * points[..., None, :]).sum(axis=-1) + phase)
    points[..., 0] *= np.exp(rng.normal(0, 0.14, (count, 1, 1)))
    points[..., 0] -= rng.normal(0.14, 0.16, (count, 1, 1)) * points[..., 1]
    turn = rng.normal(0, 0.07, (count, 1, 1))
    x, y = points[..., 0], points[..., 1]
    points = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], axis=-1)
    half = rng.uniform(0.75, 1.6, (count, 1, 1))  # of the pen's width, in pixels
    margin = half[..., 0] + 0.5
    low, high = points.min(axis=(1, 2)), points.max(axis=(1, 2))
    scale = (20 * rng.uniform(0.86, 1, (count, 1)) - 2 * margin) / (high - low).max(axis=1, keepdims=True)
    length = np.hypot(*np.moveaxis(points[:, :, 1] - points[:, :, 0], -1, 0))[..., None]
    mass = (points.mean(axis=2) * length).sum(axis=1) / length.sum(axis=1)
    shift = np.clip(14 - scale * mass, 4 + margin - scale * low, 24 - margin - scale * high)
    points = points * scale[:, None, None] + shift[:, None, None]
    y, x = np.mgrid[:28, :28] + 0.5
    nearest = np.full((count, 28, 28), np.inf)
    for segment in np.moveaxis(points, 1, 0)[..., None, None]:
        x0, y0, x1, y1 = segment[:, 0, 0], segment[:, 0, 1], segment[:, 1, 0], segment[:, 1, 1]
        dx, dy = x1 - x0, y1 - y0
        t = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
        nearest = np.minimum(nearest, (x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2)
    return to_uint8(np.clip(half + 0.5 - np.sqrt(nearest), 0, 1))


def digits(rng):
    """Return 1,800 digits to learn from and 200 to try under the names of MNIST's arrays, each digit equally often."""
    train, test = [], []  # of pairs (image, label)
    for digit, ways in PEN.items():
        counts = [len(part) for part in np.array_split(np.arange(200), len(ways))]
        drawn = np.concatenate([write(rng, way, count) for way, count in zip(ways, counts, strict=True)])
        drawn = [(image, digit) for image in rng.permutation(drawn)]
        train += drawn[:180]
        test += drawn[180:]
    arrays = {}
    for name, pairs in (("train", train), ("test", test)):
        order = rng.permutation(len(pairs))
        arrays[f"x_{name}"] = np.stack([pairs[i][0] for i in order])
        arrays[f"y_{name}"] = np.array([pairs[i][1] for i in order], dtype=np.uint8)
    return arrays


# ---------------------------------------------------------------- swimmer.npz


def swimmer():
    """Return the 256 figures of 32 x 32, and the position (0..3) of the four limbs of each.

    After D. Donoho and V. Stodden, "When does non-negative matrix factorization give a correct decomposition into
    parts?", NIPS 2003: a torso that is always there, and four limbs, each in one of four positions. No two of these
    17 parts share a pixel. The torso is the same in all figures and cannot be told from a constant: NMF finds the 16
    limbs, with a ghost of the torso in them. The 256 figures span 13 dimensions (1 + 4 * 3).
    """
    swings = ((-1, 0), (-1, 1), (0, 1), (1, 1))  # up, slanting up, level, slanting down: rows down, columns outwards
    limbs = []  # left arm, right arm, left leg, right leg
    for row, side in ((10, -1), (10, 1), (21, -1), (21, 1)):
        rise = 1 if row < 16 else -1  # legs are arms upside down
        column = 16 + side * 2
        limbs.append([[(row + rise * i * down, column + side * i * out) for i in range(1, 7)] for down, out in swings])
    torso = [(row, 16) for row in range(10, 22)]
    positions = np.array(list(itertools.product(range(4), repeat=4)), dtype=np.uint8)
    images = np.zeros((256, 32, 32), dtype=np.uint8)
    for image, places in zip(images, positions, strict=True):
        for row, column in itertools.chain(torso, *(limb[place] for limb, place in zip(limbs, places, strict=True))):
            image[row, column] = 255
    return {"images": images, "positions": positions}


# ---------------------------------------------------------------- files


def write_npz(path, arrays):
    """Write a compressed npz whose bytes do not tell the time."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, buffer.getvalue(), zipfile.ZIP_DEFLATED, 9)


def main(folder):
    """Write the four files into a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo(np.random.default_rng(11))).save(folder / "photo.png", optimize=True)
    Image.fromarray(grey(np.random.default_rng(2))).save(folder / "grey.png", optimize=True)
    write_npz(folder / "digits.npz", digits(np.random.default_rng(28)))
    write_npz(folder / "swimmer.npz", swimmer())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
