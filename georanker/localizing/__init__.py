"""Around the Localizer: photos in many forms, how far to trust an answer, and answers to show and keep."""

from georanker.discovery import exports

__getattr__, __dir__ = exports(__name__)
