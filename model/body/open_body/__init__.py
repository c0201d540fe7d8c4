"""The open body: a CC0 body of the SMPL-X, FLAME, MANO and SMPL kind that may be used and shared by anyone.

`open_body.npz` and `open_body.json` hold it; `load` reads them. `builder/` makes it anew
(`python -m model.body.open_body.builder.build`); its `layout` writes the body in the key layout of the licensed files.

Shape letters of the builder: N sampled people, B base-mesh vertices, V vertices of this body, F triangles, Q quads,
J joints (55), K rig bones, S shape components, A face actions. Metres; y up, z forward, x to the person's left.
"""
