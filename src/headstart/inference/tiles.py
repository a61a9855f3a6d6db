"""Prediction at any size: overlapping tiles through a network, blended into strips of finished rows.

Softmax probabilities of the tiles that cover a pixel are averaged with the weights of ``grid.Axis``. Only the rows of
one tile are in memory at a time; the next ones are read in a thread while the network computes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from headstart.configs.inference import TilingConfig
from headstart.errors import ConfigError
from headstart.inference.grid import Grid, make_grid, reflected

RGB = tuple[float, float, float]
Pixels = tuple[Tensor, Tensor | None]
FLIPS = ((), (2,), (1,), (1, 2))
Reader = Callable[[int, int, int, int], Pixels]
"""(top, bottom, left, right) -> uint8 (3, h, w), and bool (h, w) where not all of these pixels are valid."""


@dataclass(frozen=True)
class Predictor:
    """A network with what feeding it takes: ``size`` is the side in pixels that it was trained on, ``fixed`` whether it
    takes no other; ``mean`` and ``std`` are of RGB in [0, 1]. ``network`` maps normalised images (B, 3, H, W) to logits
    (B, C, H, W); its mode, and the precision through autocast, are the caller's.

    Raises ConfigError where the tiling asks for tiles that a fixed network does not take.
    """

    network: nn.Module
    mean: RGB
    std: RGB
    tiling: TilingConfig
    size: int
    fixed: bool = False

    def __post_init__(self) -> None:
        if self.fixed and self.tiling.size not in (None, self.size):
            raise ConfigError(
                f"--tiles.size {self.tiling.size}: this model takes {self.size} pixels only; leave the flag away"
            )

    def grid(self, height: int, width: int) -> Grid:
        """The tiles over an image of this size."""
        return make_grid(height, width, self.tiling.size or self.size, self.tiling.overlap, self.fixed)

    def fits(self, image: Tensor) -> bool:
        """Whether an image (3, H, W) needs one tile only."""
        return self.grid(*image.shape[1:]).n_tiles == 1

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        parameter = next(self.network.parameters(), None)
        return torch.device("cpu") if parameter is None else parameter.device

    @property
    def turns(self) -> tuple[tuple[int, ...], ...]:
        """The dimensions of (C, H, W) that each look at a tile flips."""
        return FLIPS if self.tiling.flips else FLIPS[:1]

    @torch.no_grad()
    def answers(self, tiles: Tensor) -> Iterator[tuple[int, Tensor]]:
        """uint8 (B, 3, H, W) -> for each turn and tile i: (i, softmax probabilities float32 (C, H, W)), turned back.

        One tile after the other, so that little is in memory twice, and still in the cache when it is blended.
        """
        images = self._normalised(tiles)
        for dims in self.turns:
            logits: Tensor = self.network(images.flip([dim + 1 for dim in dims]) if dims else images)
            for i in range(len(logits)):
                shares = torch.softmax(logits[i].contiguous(), 0, torch.float32)
                yield i, shares.flip(dims) if dims else shares

    def _normalised(self, tiles: Tensor) -> Tensor:
        scale = torch.tensor(self.std, device=self.device).mul_(255).reciprocal_().view(3, 1, 1)
        shift = torch.tensor(self.mean, device=self.device).div_(torch.tensor(self.std, device=self.device))
        images = tiles.to(self.device).contiguous(memory_format=torch.channels_last).float()
        return images.mul_(scale).sub_(shift.view(3, 1, 1))


@dataclass(frozen=True)
class Strip:
    """Finished rows [top, bottom) of the columns of a grid.

    ``probabilities`` are float32 (C, h, w) on the network's device, None where no tile had a valid pixel; they are a
    view of a buffer, to be used before the next strip is asked for. ``valid`` is bool (h, w), or None where all are.
    """

    row: int
    top: int
    bottom: int
    probabilities: Tensor | None
    valid: Tensor | None


def predict_strips(
    predictor: Predictor, read: Reader, grid: Grid, first: int = 0, on_tiles: Callable[[int], None] | None = None
) -> Iterator[Strip]:
    """The strips of an image from that of tile row ``first`` on, from top to bottom.

    Each is the same, bit by bit, whichever strip is the first: the tile rows above that count in it are computed
    again. Tiles without a valid pixel are left out. ``on_tiles`` is told how many tiles from ``first`` on are done,
    after each batch.
    """
    begin = grid.first_needed(first)
    band = _Band(read, grid)
    blend = _Blend(predictor, grid)
    with ThreadPoolExecutor(1, "read-ahead") as pool:
        pending = pool.submit(band.load, begin)
        for row in range(begin, grid.n_rows):
            pixels, valid = pending.result()
            if row + 1 < grid.n_rows:
                pending = pool.submit(band.load, row + 1)
            blend.add(row, pixels, valid, on_tiles if row >= first else None)
            top, bottom = grid.strip(row)
            shown = slice(grid.left - grid.cols.origins[0], grid.right - grid.cols.origins[0])
            if row >= first:
                finished = None if blend.sums is None else blend.sums[:, : bottom - top, shown]
                yield Strip(row, top, bottom, finished, None if valid is None else valid[: bottom - top, shown])
            blend.advance(bottom - top)


class _Band:
    """The image rows under one row of tiles; each is read once while the band moves down."""

    def __init__(self, read: Reader, grid: Grid) -> None:
        self.read, self.grid = read, grid
        self.left, self.right = grid.cols.origins[0], min(grid.cols.end, grid.cols.length)
        self.top = self.bottom = -1
        self.pixels: Tensor | None = None
        self.valid: Tensor | None = None

    def load(self, row: int) -> Pixels:
        """Pixels (3, h, w) under tile row ``row``, padded to whole tiles, and which are valid (padding is not)."""
        rows, cols = self.grid.rows, self.grid.cols
        top = rows.origins[row]
        bottom = min(top + rows.size, rows.length)
        begin = max(top, self.bottom)
        pixels, valid = self.read(begin, bottom, self.left, self.right)
        if self.pixels is not None and begin > top:
            kept = self.pixels[:, top - self.top :]
            if valid is not None or self.valid is not None:
                valid = torch.cat([_mask(self.valid, self.pixels)[top - self.top :], _mask(valid, pixels)])
            pixels = torch.cat([kept, pixels], dim=1)
        self.top, self.bottom, self.pixels, self.valid = top, bottom, pixels, valid
        width = cols.end - self.left
        if valid is not None:
            below, beside = rows.size - valid.shape[0], width - valid.shape[1]
            valid = torch.nn.functional.pad(valid, (0, beside, 0, below))
        return reflected(pixels, rows.size, width), valid


def _mask(valid: Tensor | None, pixels: Tensor) -> Tensor:
    return torch.ones(pixels.shape[1:], dtype=torch.bool) if valid is None else valid


class _Blend:
    """Weighted sums of probabilities in the rows of one tile: float32 (C, tile height, width of the grid's tiles)."""

    def __init__(self, predictor: Predictor, grid: Grid) -> None:
        self.predictor, self.grid = predictor, grid
        self.cols = grid.cols.weights.to(predictor.device)
        self.rows = grid.rows.weights.to(predictor.device) / len(predictor.turns)
        self.sums: Tensor | None = None

    def add(self, row: int, pixels: Tensor, valid: Tensor | None, on_tiles: Callable[[int], None] | None) -> None:
        """Predict the tiles of ``row`` in batches and add them; a batch never holds tiles of two rows."""
        size, start, n = self.grid.cols.size, self.grid.cols.origins[0], self.predictor.tiling.batch
        places = [origin - start for origin in self.grid.cols.origins]
        kept = [i for i, x in enumerate(places) if valid is None or bool(valid[:, x : x + size].any())]
        for chosen in (kept[i : i + n] for i in range(0, len(kept), n)):
            tiles = torch.stack([pixels[:, :, places[i] : places[i] + size] for i in chosen])
            for i, probabilities in self.predictor.answers(tiles):
                weights = torch.outer(self.rows[row], self.cols[chosen[i]])
                left = places[chosen[i]]
                self._buffer(len(probabilities))[:, :, left : left + size].addcmul_(probabilities, weights)
            if on_tiles is not None:
                on_tiles(len(chosen))
        if on_tiles is not None and len(kept) < len(places):
            on_tiles(len(places) - len(kept))

    def _buffer(self, n_outputs: int) -> Tensor:
        if self.sums is None:
            shape = (n_outputs, self.grid.rows.size, self.grid.cols.end - self.grid.cols.origins[0])
            self.sums = torch.zeros(shape, device=self.predictor.device)
        return self.sums

    def advance(self, rows: int) -> None:
        """Move down by ``rows``: what is left moves up, the rest begins at zero."""
        if self.sums is None:
            return
        left = max(0, self.sums.shape[1] - rows)
        for layer in self.sums:  # one class at a time, because source and target overlap
            layer[:left] = layer[rows:].clone()
            layer[left:] = 0


def most_probable(probabilities: Tensor) -> Tensor:
    """Index uint8 (h, w) of the largest of the probabilities (C, h, w); the first of equal ones.

    Six times as fast as ``argmax`` over the first dimension.
    """
    best = probabilities[0].clone()
    classes = torch.zeros(best.shape, dtype=torch.uint8, device=best.device)
    for index in range(1, len(probabilities)):
        classes.masked_fill_(probabilities[index] > best, index)
        torch.maximum(best, probabilities[index], out=best)
    return classes


def predict_image(
    network: nn.Module, image: Tensor, mean: RGB, std: RGB, tiling: TilingConfig, size: int, fixed: bool
) -> Tensor:
    """Class probabilities of one image of any size.

    Args:
        network: normalised float32 images (B, 3, H, W) -> logits (B, C, H, W), in evaluation mode.
        image: uint8 (3, H, W) RGB.
        mean, std: of the RGB channels in [0, 1].
        size: side in pixels the network was trained on; the tiles' unless ``tiling.size`` is given.
        fixed: the network takes no other size, so that smaller images are padded.

    Returns:
        float32 (C, H, W) on the CPU, summing to 1 over the classes. An image no larger than a tile goes through the
        network whole unless ``fixed``.
    """
    return _predict(Predictor(network, mean, std, tiling, size, fixed), image)


def _predict(predictor: Predictor, image: Tensor) -> Tensor:
    grid = predictor.grid(*image.shape[1:])

    def read(top: int, bottom: int, left: int, right: int) -> Pixels:
        return image[:, top:bottom, left:right], None

    parts = []
    for strip in predict_strips(predictor, read, grid):
        assert strip.probabilities is not None
        parts.append(strip.probabilities.to("cpu", copy=True))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def predict_many(
    network: nn.Module, images: Iterable[Tensor], mean: RGB, std: RGB, tiling: TilingConfig, size: int, fixed: bool
) -> Iterator[Tensor]:
    """``predict_image`` of each image, in order; neighbours of one size that fit in a tile share a batch."""
    predictor = Predictor(network, mean, std, tiling, size, fixed)
    for batch in batches_of_equal(predictor, images):
        if predictor.fits(batch[0]):
            yield from predict_whole(predictor, batch)
        else:
            yield from (_predict(predictor, image) for image in batch)


def batches_of_equal(predictor: Predictor, images: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Neighbours of one size that fit in a tile, up to a batch of them; each larger image alone."""
    waiting: list[Tensor] = []
    for image in images:
        full = len(waiting) == predictor.tiling.batch
        if waiting and (full or image.shape != waiting[0].shape):
            yield waiting
            waiting = []
        if predictor.fits(image):
            waiting.append(image)
        else:
            yield [image]
    if waiting:
        yield waiting


def predict_whole(predictor: Predictor, images: Sequence[Tensor]) -> Tensor:
    """Probabilities of images of one size that fit in a tile: float32 (n, C, H, W) on the CPU."""
    height, width = images[0].shape[1:]
    grid = predictor.grid(height, width)
    tiles = torch.stack([reflected(image, grid.rows.size, grid.cols.size) for image in images])
    totals: list[Tensor] = []
    for i, probabilities in predictor.answers(tiles):
        if i == len(totals):
            totals.append(probabilities)
        else:
            totals[i] += probabilities
    return torch.stack(totals).div_(len(predictor.turns))[:, :, :height, :width].cpu()
