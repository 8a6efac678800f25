"""A mountain lake in the evening: a height field seen in perspective."""

from __future__ import annotations

import numpy as np

from .tools import halve, mix, noise, sample, step, to_uint8

HORIZON, FOCAL = 372, 960  # in rows and pixels of the double-size picture
EYE = 9.0  # height of the camera above the lake, in cells of the height field


def terrain(rng: np.random.Generator, size: int = 1024) -> tuple[np.ndarray, np.ndarray]:
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


def sky(elevation: np.ndarray, azimuth: np.ndarray, clouds: np.ndarray) -> np.ndarray:
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


def look(eye: float, shape: tuple[int, int], fields: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
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


def photo(rng: np.random.Generator) -> np.ndarray:
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
