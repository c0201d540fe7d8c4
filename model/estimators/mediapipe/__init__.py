"""Estimators on the networks inside the MediaPipe package (Apache-2.0, CPU).

``graphs`` runs the networks, ``detector`` finds bodies, ``heads``
faces without a body, ``people`` joins both; ``pose``, ``face`` and ``hands`` read one person,
``keypoints`` makes the 133 points with their uncertainty, ``kinematics`` turns 3D landmarks into joint rotations;
``body``, ``hands_3d`` and ``face_3d`` are the part estimators.
``masks`` says which pixels are a person.
``stderr`` keeps the start-up lines of the networks off the terminal.
"""
