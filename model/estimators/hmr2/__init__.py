"""HMR2.0b: SMPL body poses from a crop, with the official checkpoint; see ``body``."""
