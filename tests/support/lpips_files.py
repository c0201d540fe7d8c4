"""Files of LPIPS in their publishers' layout, with random weights of a sensible size."""

import torch

CONVOLUTIONS = {
    "alex": {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)},
    "vgg": {
        **{0: (64, 3, 3), 2: (64, 64, 3), 5: (128, 64, 3), 7: (128, 128, 3), 10: (256, 128, 3), 12: (256, 256, 3)},
        **{14: (256, 256, 3), 17: (512, 256, 3), 19: (512, 512, 3), 21: (512, 512, 3), 24: (512, 512, 3)},
        **{26: (512, 512, 3), 28: (512, 512, 3)},
    },
}
"""Place in torchvision's `features` -> channels out and in, and side of the kernel."""
CHANNELS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}


def backbone_tensors(net, seed=0):
    """State dict of torchvision's network; of its classifier only a small stand-in."""
    random = torch.Generator().manual_seed(seed)
    tensors = {"classifier.6.bias": torch.zeros(1000)}
    for place, (out, channels, side) in CONVOLUTIONS[net].items():
        scale = (2 / (channels * side**2)) ** 0.5
        tensors[f"features.{place}.weight"] = scale * torch.randn(out, channels, side, side, generator=random)
        tensors[f"features.{place}.bias"] = 0.1 * torch.randn(out, generator=random)
    return tensors


def linear_tensors(net, seed=1):
    """Non-negative weights of the channels, under the names of the package lpips."""
    random = torch.Generator().manual_seed(seed)
    return {
        f"lin{tap}.model.1.weight": torch.rand(1, num, 1, 1, generator=random) for tap, num in enumerate(CHANNELS[net])
    }


def lpips_files(folder, net):
    """Paths of a backbone and of the weights of its channels, written there."""
    backbone, linear = folder / f"{net}_backbone.pth", folder / f"{net}_linear.pth"
    torch.save(backbone_tensors(net), backbone)
    torch.save(linear_tensors(net), linear)
    return backbone, linear


def pictures(*shape, seed=0, dtype=torch.float32):
    """Two different pictures with structure at several scales, values in [0, 1]."""
    random = torch.Generator().manual_seed(seed)
    found = 0
    for coarse in (4, 16, 64):
        noise = torch.rand(2 * shape[0], shape[1], coarse, coarse, generator=random, dtype=torch.float64)
        found = found + torch.nn.functional.interpolate(noise, shape[2:], mode="bilinear") / 3
    return tuple(found.to(dtype).split(shape[0]))
