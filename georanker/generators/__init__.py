"""Photos become guessed candidates: large vision-language models, and what they are asked."""

from georanker.discovery import exports

__getattr__, __dir__ = exports(__name__)
