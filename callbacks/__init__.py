"""Lightning callbacks, named in YAML only and imported as georanker.callbacks."""

from georanker.discovery import exports

__getattr__, __dir__ = exports(__name__)
