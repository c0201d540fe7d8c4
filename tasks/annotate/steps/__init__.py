"""The steps of one shard: the job they share, keypoints, the three parts, refinement."""
