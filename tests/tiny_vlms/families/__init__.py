"""Families of vision-language models, one a file, named as transformers names them."""
