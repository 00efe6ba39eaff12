"""Ranking batches become scores: (B, K), higher is nearer."""

from georanker.discovery import exports

__getattr__, __dir__ = exports(__name__)
