"""Scores and distances become one number to minimise: pointwise, pairwise, listwise, multi-order distance."""

from georanker.discovery import exports

__getattr__, __dir__ = exports(__name__)
