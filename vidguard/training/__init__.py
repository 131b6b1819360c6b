"""Makes weights: `python -m vidguard.training --help`."""
