"""What people look at: tables and maps."""

from georanker.discovery import exports

__getattr__, __dir__ = exports(__name__)
