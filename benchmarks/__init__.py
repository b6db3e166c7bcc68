"""Measured ratios against named peers; ``make bench`` runs them all and writes ``RESULTS.md``."""
