"""Where the bytes of photos are: folders, tar and zip archives behind one small contract."""

from georanker.discovery import exports

__getattr__, __dir__ = exports(__name__)
