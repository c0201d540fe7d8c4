"""Loop, checkpoints, processes, averages, curves: what every training shares."""
