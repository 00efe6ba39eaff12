"""Photos become candidates: LightningModules, and the gallery that they search."""

from georanker.discovery import exports

__getattr__, __dir__ = exports(__name__)
