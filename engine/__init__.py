"""fieldgate: what happens to a delivery, and who may see what came of it."""

__version__ = "0.1.0"
