"""Predictions and scores become figures: torchmetrics, each with a functional twin."""

from georanker.discovery import exports

__getattr__, __dir__ = exports(__name__)
