"""Where on Earth was this photo taken? Retrieve candidate places, then rank them by how near they are.

Read `georanker.types` first: it is the vocabulary of the whole package.
"""

__version__ = "0.1.0"
