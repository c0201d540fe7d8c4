"""Error measures of predicted people. `person_errors` is the one measure; benchmarks and evaluations call it."""
