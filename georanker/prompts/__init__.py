"""What a vision-language model is asked about a candidate: text and photos, in order."""

from georanker.discovery import exports

__getattr__, __dir__ = exports(__name__)
