"""Public data sets and weights: where they are, how they are fetched, and the checksums they are known by."""
