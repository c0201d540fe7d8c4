"""What a worker does: one step of one shard, the synthetic data set, the report."""
