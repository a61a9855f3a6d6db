"""Automatic masks side by side: headstart, segment-anything 1.0 and the mask-generation pipeline of transformers."""
