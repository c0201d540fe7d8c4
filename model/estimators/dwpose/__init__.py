"""DWPose: 133 keypoints by two published networks, a person detector (YOLOX-l) and a top-down pose network (RTMPose).

``files`` says which files and where they come from, ``sessions`` opens them, ``yolox`` and ``simcc`` are the steps
before and after the networks, ``poses`` batches people over photos, ``calibration`` turns raw scores into sigma,
``keypoints`` is the backend, and ``mmpose_route`` runs the pose network from its PyTorch checkpoint instead.
"""
