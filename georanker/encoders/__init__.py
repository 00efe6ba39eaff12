"""Photos and places become vectors: image encoders and location encoders."""

from georanker.discovery import exports

__getattr__, __dir__ = exports(__name__)
