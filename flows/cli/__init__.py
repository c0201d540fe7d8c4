"""The commands of `pear`."""
