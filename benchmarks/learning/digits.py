"""Handwritten digits that come with scikit-learn: 1,797 images of 8 x 8 pixels, enlarged."""

import numpy as np
import sklearn
from benchmarks.learning.layout import SPLIT_WORDS, Facts, Picture, split
from PIL import Image
from sklearn.datasets import load_digits

SIDE = 32
WHITE = 16
"""Largest value of a pixel."""


def digits() -> tuple[Facts, list[Picture], list[Picture], list[Picture]]:
    """Facts, training and validation pictures; bicubic, 32 pixels, three equal channels."""
    given = load_digits()
    pictures = []
    for i, (grey, label) in enumerate(zip(given.images, given.target, strict=True)):
        image = Image.fromarray((grey * 255 / WHITE).astype(np.uint8))
        enlarged = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB")
        pictures.append(Picture(f"{i:04}", np.asarray(enlarged), str(label)))
    facts = Facts(
        source="scikit-learn's load_digits (UCI, Optical Recognition of Handwritten Digits, test part)",
        version=sklearn.__version__,
        licence="scikit-learn BSD-3-Clause; UCI data CC-BY 4.0",
        split=SPLIT_WORDS,
    )
    train, val = split(pictures)
    return facts, train, val, []
