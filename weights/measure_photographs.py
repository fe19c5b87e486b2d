"""Measure the colors and the spectrum of photographs, as jaxviz.techniques.feature_images has them.

    python weights/measure_photographs.py FOLDER

It prints the constants of `colors.py`: the uncorrelated colors, and the magnitude of each at a
frequency of f cycles a pixel, AMPLITUDE / f**EXPONENT. Colors are logits, ln(p / (1 - p)) of what
lies between 0 and 1. The numbers there are those of 250 photographs of ImageNet.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np

import jaxviz
from jaxviz.pictures.folders import find_pictures
from jaxviz.pictures.sets import load_pictures
from jaxviz.techniques.feature_images.parametrizations import frequencies


def colors(logits: np.ndarray) -> np.ndarray:
    """The axes of the cloud of colors, each as long as its spread, the largest of length 1."""
    axes, variances, _ = np.linalg.svd(np.cov(logits.reshape(-1, 3).T))
    axes *= np.sqrt(variances / variances[0])
    return axes * np.sign(axes[0])


def spectrum(planes: np.ndarray) -> tuple[float, float]:
    """The amplitude and the exponent of (pictures, height, width), each octave weighing the same.

    The lowest octave, of the window more than of the pictures, and the corners are left out.
    """
    _, height, width = planes.shape
    found = np.abs(np.fft.rfft2(planes, norm="ortho")).mean(axis=0)
    at = frequencies(height, width)
    edges = 2 / height * 2 ** np.arange(0, np.log2(height / 4) + 0.5, 0.5)
    octaves = [(at >= low) & (at < high) for low, high in itertools.pairwise(edges)]
    points = [(np.log(at[one]).mean(), np.log(found[one]).mean()) for one in octaves]
    slope, start = np.polyfit(*zip(*points, strict=True), 1)
    return float(np.exp(start)), float(-slope)


def measured(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """COLORS, AMPLITUDES and EXPONENTS of the photographs in a folder."""
    preprocessing = jaxviz.load("alexnet").preprocessing
    pixels = load_pictures(find_pictures([folder]), preprocessing).pixels
    shares = np.clip(pixels / 255, 1 / 510, 1 - 1 / 510)
    logits = np.log(shares / (1 - shares))
    axes = colors(logits)
    planes = (logits - logits.mean(axis=(0, 1, 2))) @ np.linalg.inv(axes).T
    amplitudes, exponents = zip(*(spectrum(planes[..., i]) for i in range(3)), strict=True)
    return axes, np.array(amplitudes), np.array(exponents)


def main() -> None:
    """Print the constants."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    for name, values in zip(
        ("COLORS", "AMPLITUDES", "EXPONENTS"), measured(parser.parse_args().folder), strict=True
    ):
        print(f"{name} =\n{values.round(3)}")


if __name__ == "__main__":
    main()
