"""How vision-language models read prompts: photos and text become tokens, features and hidden states."""
