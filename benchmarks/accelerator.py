"""Cost of long runs of the sampled solver on an accelerator; where there is none, nothing is measured."""

from __future__ import annotations

import sys

import jax

from benchmarks import long_times
from benchmarks.timing import NO_ACCELERATOR

if __name__ == "__main__":
    if jax.default_backend() == "cpu":
        sys.exit(NO_ACCELERATOR)
    print(long_times.table())
