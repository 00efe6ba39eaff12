"""How numbers are rounded where Lightning's own way would round places too; named in a trainer's `plugins`."""

from georanker.discovery import exports

__getattr__, __dir__ = exports(__name__)
