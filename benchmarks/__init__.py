"""One script for each published figure; each prints its machine and the ratio to a named baseline."""
