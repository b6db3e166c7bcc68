"""Straightforward implementations by other means, to measure against."""
