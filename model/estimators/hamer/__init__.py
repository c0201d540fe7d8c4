"""HaMeR: MANO hand poses from a crop, with the official checkpoint; see ``hands``."""
