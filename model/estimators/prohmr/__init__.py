"""ProHMR: SMPL body poses from a crop, with the official checkpoint; see ``body``."""
