"""Files on disk become photos and candidate lists: LightningDataModules, one benchmark a file."""

from georanker.discovery import exports

__getattr__, __dir__ = exports(__name__)
