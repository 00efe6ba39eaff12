"""Training lists made for any gallery: neighbours that are not the photo itself, in shards that survive a kill."""

from georanker.discovery import exports

__getattr__, __dir__ = exports(__name__)
