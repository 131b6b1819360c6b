"""Makes weights: `python -m vidguard.training --help`. Needs the extra `vidguard[train]` only for pretrained starts."""
