"""What can be wrong with data, one check a file: `georanker check-data` runs them all."""

from georanker.discovery import exports

__getattr__, __dir__ = exports(__name__)
