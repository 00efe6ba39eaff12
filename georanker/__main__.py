"""`python -m georanker` is the same as `georanker`."""

from georanker.cli import main

main()
