"""The report: one self-contained page about runs and sweeps. The package knows what a study is, and no physics."""
