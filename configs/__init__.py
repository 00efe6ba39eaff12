"""The shipped experiments: YAML files that point to each other."""
