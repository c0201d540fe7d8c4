"""SMPL-X, FLAME, MANO, SMPL and the fused EHM-s body, over open arrays or arrays converted from licensed files.

Shape letters used in this package: B any leading batch dimensions, V vertices, F faces, J joints, S shape coefficients,
E expression coefficients. Lengths are metres. The rest frame is y up, z forward out of the chest, +x the person's left.
"""
