"""Caches as things to handle: what `spoofcache cache` lists, compares, derives from one another, and removes."""
