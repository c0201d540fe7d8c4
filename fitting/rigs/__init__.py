"""Several calibrated cameras that see one person at one moment: one fit of all of them."""
