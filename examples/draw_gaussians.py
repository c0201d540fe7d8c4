"""Draws a body as flat Gaussians and finds it again: python examples/draw_gaussians.py [folder]. Some 10 seconds.

One Gaussian lies on each triangle. The picture has derivatives by all that it was made from: here they bring a body
back that was pushed aside. `rasteriser="native"` is faster where a C++ compiler is.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor

from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.imaging.camera import Camera
from model.renderer.overlay import encode_png
from model.renderer.splat.draw import Drawing, draw
from model.renderer.splat.gaussians import Gaussians

SIZE_HW = (256, 256)
folder = Path(sys.argv[1] if len(sys.argv) > 1 else "work/draw_gaussians")
folder.mkdir(parents=True, exist_ok=True)

torch.set_num_threads(1)
body = EHMs(load_open_body())
facing = torch.diag(torch.tensor([1.0, -1.0, -1.0]))[None]  # the camera's y points down
person = EhmParameters.neutral(1, global_orient=facing, transl_m=torch.zeros(1, 3))
with torch.no_grad():
    vertices = body(person).vertices
corners = vertices[:, body.faces]  # (1, F, 3 corners, 3)
centres = corners.mean(2)
spokes = corners - centres[:, :, None]
normal = torch.nn.functional.normalize(torch.linalg.cross(spokes[:, :, 1], spokes[:, :, 2]), dim=-1)
light = torch.nn.functional.normalize(torch.tensor([-0.4, -0.5, -0.8]), dim=0)
shade = 0.35 + 0.65 * (normal @ light).clamp(min=0)

camera = Camera(focal_px=torch.tensor([640.0]), principal_px=torch.tensor([[128.0, 128.0]]))


def picture(place_m: Tensor) -> Drawing:
    """The body with its pelvis at a place (3,)."""
    gaussians = Gaussians(
        centres_m=centres + place_m,
        factors_m=0.6 * spokes.mT,  # each lies in its triangle and is as long and as broad
        colours=shade[..., None] * torch.tensor([0.87, 0.68, 0.55]),
        opacities=0.95 * (normal[..., 2] < 0).float(),  # those that look away are not drawn
    )
    return draw(gaussians, camera, SIZE_HW, background=torch.ones(3))


truth = torch.tensor([0.0, 0.25, 5.0])
with torch.no_grad():
    target = picture(truth)
(folder / "body.png").write_bytes(encode_png((255 * target.colour[0]).round().to(torch.uint8).numpy()))
print("picture", tuple(target.colour.shape), "- covered pixels", int((target.alpha > 0.5).sum()))

across = (truth[:2] + torch.tensor([0.03, -0.02])).requires_grad_()
optimiser = torch.optim.Adam([across], lr=4e-3)
for step in range(26):
    loss = (picture(torch.cat([across, truth[2:]])).colour - target.colour).abs().mean()
    if step % 5 == 0:
        print(f"step {step}: {1e3 * (across - truth[:2]).norm().item():.1f} mm off, loss {loss.item():.5f}")
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
