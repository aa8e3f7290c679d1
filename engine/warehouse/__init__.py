"""The analysis lane: events, states and results as sorted Parquet under record pseudonyms."""
