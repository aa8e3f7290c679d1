"""The identity lane: normalisation, keys, pseudonyms and the vault (writing and reading apart)."""
