"""Fits a body to 133 keypoints, without files and without a part estimate: python examples/fit_keypoints.py. 5 seconds.

The keypoints here are those of a posed open body, with noise and a gap. Yours come from any detector, with a standard
deviation each: a score is not one.
"""

import torch

from benchmarks.synthetic_people import make_people
from fitting.refine import Camera, Coarse, Observations, refine
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body

torch.set_num_threads(1)  # small matrices: more threads only wait for each other
body = SparseBody.from_assets(load_open_body())
people = make_people(body, 4, seed=0)  # known truth

sigma_px = people.observations.sigma_px.clone()
sigma_px[:, 91:112] = torch.inf  # nobody saw the left hands
observations = Observations(keypoints_px=people.observations.keypoints_px, sigma_px=sigma_px)
camera = Camera(focal_px=people.camera.focal_px, principal_px=people.camera.principal_px)

result = refine(body, observations, Coarse.unknown(4), camera)

parts = ("body", "left hand", "right hand", "face")
for row in range(4):
    valid, quality = result.part_valid[row].tolist(), result.quality[row].tolist()
    said = [f"{part} {own:.2f}" for part, ok, own in zip(parts, valid, quality, strict=True) if ok]
    print(f"person {row}: status {int(result.status[row])}, quality of {', '.join(said)}")
error_px = (result.keypoints_px - people.clean_px).norm(dim=-1).median(dim=1).values
print("median distance from the true keypoints, px:", error_px.numpy().round(1))
