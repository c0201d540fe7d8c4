"""Groups of a shard: people in videos and before several cameras, whose frames and views are fitted together."""
