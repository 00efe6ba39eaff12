"""The last hidden state of a vision-language model becomes a score."""

from georanker.discovery import exports

__getattr__, __dir__ = exports(__name__)
