"""The commands that georanker adds to those of Lightning: one function a file."""
