"""The words of the product as frozen types: ids, errors, dates. It imports no framework."""
