"""Decoded images on disk, so that an epoch reads pixels instead of decoding files.

``build(images, folder)`` makes a pack, or opens the one that is there; ``open_pack(folder)`` opens one;
``Pack.read(name)`` gives an image as uint8 (H, W, 3). ``readable`` is what a training calls.
"""

from headstart.data.pack.intake import readable
from headstart.data.pack.layout import PackError
from headstart.data.pack.make import Effort, build
from headstart.data.pack.reader import Pack, open_pack

__all__ = ["Effort", "Pack", "PackError", "build", "open_pack", "readable"]
