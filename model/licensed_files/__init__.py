"""Files that a person puts in place, because they may not be passed on: which, where, for what, by whose terms."""
