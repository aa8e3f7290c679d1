"""Read, check, admit, minimise: a delivery in memory, with nothing kept that has no open gateway."""
