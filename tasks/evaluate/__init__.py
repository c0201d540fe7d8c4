"""How good labels, predictions and checkpoints are, where the data set knows better: errors, benchmarks, tables."""
