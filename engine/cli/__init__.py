"""The command line: thin over the flows. Heavy imports stay inside the commands."""
