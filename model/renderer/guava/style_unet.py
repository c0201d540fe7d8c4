"""StyleUNet (Wang et al., 2023): a U-Net whose coarsest level gives a style and whose decoder modulates a StyleGAN2.

Legend: B pictures, C channels, H x W px, S channels of a style.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
"""Of the leaky ReLUs."""
START_PX = 4
"""Side of the coarsest level."""
NUM_STYLE_LAYERS = 8
EPS = 1e-8


def channels_at(side_px: int, width: int) -> int:
    """Channels of the level of a side: `width` up to 32 px, then half as many with each doubling."""
    return min(width, width * 32 // side_px)


def levels_of(side_px: int) -> list[int]:
    """Sides of the levels that are larger than the coarsest: 8, 16, ... up to `side_px`."""
    return [2**power for power in range(int(math.log2(START_PX)) + 1, int(math.log2(side_px)) + 1)]


def scaled(maps: Tensor, factor: float) -> Tensor:
    """(B, C, H, W) -> (B, C, factor H, factor W), bilinear."""
    return F.interpolate(maps, scale_factor=factor, mode="bilinear", align_corners=False)


def unit_deviation(*shape: int) -> Tensor:
    """Random numbers of mean 0 and deviation 1, uniform: normal ones are slow to make where nothing is stored."""
    return torch.empty(shape).uniform_(-math.sqrt(3), math.sqrt(3))


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, the grid made finer or coarser between them."""

    def __init__(self, source: int, target: int, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.conv1 = nn.Conv2d(source, source, 3, padding=1)
        self.conv2 = nn.Conv2d(source, target, 3, padding=1)
        self.skip = nn.Conv2d(source, target, 1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', factor H, factor W)."""
        inner = scaled(F.leaky_relu(self.conv1(maps), SLOPE), self.factor)
        return F.leaky_relu(self.conv2(inner), SLOPE) + self.skip(scaled(maps, self.factor))


class ModulatedConvolution(nn.Module):
    """A convolution whose input channels a style weights; demodulated: of weights of length 1 for each output.

    Channels of the input are scaled instead of the weights: one convolution serves all pictures of a batch.
    """

    def __init__(self, source: int, target: int, kernel: int, style: int, *, demodulate: bool) -> None:
        super().__init__()
        self.demodulate = demodulate
        self.modulation = nn.Linear(style, source)
        self.weight = nn.Parameter(torch.empty(1, target, source, kernel, kernel))
        nn.init.kaiming_uniform_(self.weight[0], nonlinearity="linear")
        nn.init.kaiming_uniform_(self.modulation.weight, nonlinearity="linear")
        nn.init.ones_(self.modulation.bias)

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        """(B, C, H, W), (B, S) -> (B, C', H, W)."""
        gain, weight = self.modulation(style), self.weight[0]
        found = F.conv2d(maps * gain[..., None, None], weight, padding=weight.shape[-1] // 2)
        if not self.demodulate:
            return found
        lengths2 = gain.square() @ weight.square().sum((2, 3)).T
        return found * torch.rsqrt(lengths2 + EPS)[..., None, None]


class StyledConvolution(nn.Module):
    """A modulated convolution with noise and bias, behind a doubling of the grid where that is asked for."""

    def __init__(self, source: int, target: int, style: int, *, doubles: bool) -> None:
        super().__init__()
        self.doubles = doubles
        self.modulated_conv = ModulatedConvolution(source, target, 3, style, demodulate=True)
        self.weight = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(1, target, 1, 1))

    def forward(self, maps: Tensor, style: Tensor, generator: torch.Generator | None) -> Tensor:
        """(B, C, H, W), (B, S) -> (B, C', H', W'); without a generator there is no noise."""
        found = self.modulated_conv(scaled(maps, 2) if self.doubles else maps, style) * math.sqrt(2)
        if generator is not None:
            noise = torch.empty_like(found[:, :1]).normal_(generator=generator)
            found = found + self.weight * noise
        return F.leaky_relu(found + self.bias, SLOPE)


class ReadOut(nn.Module):
    """Channels of the result, added to those of the coarser levels."""

    def __init__(self, source: int, target: int, style: int) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConvolution(source, target, 1, style, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, target, 1, 1))

    def forward(self, maps: Tensor, style: Tensor, coarser: Tensor | None) -> Tensor:
        """(B, C, H, W), (B, S), (B, C', H/2, W/2) -> (B, C', H, W)."""
        found = self.modulated_conv(maps, style) + self.bias
        return found if coarser is None else found + scaled(coarser, 2)


class UnitLength(nn.Module):
    """Styles of mean square 1."""

    def forward(self, style: Tensor) -> Tensor:
        """(B, S) -> (B, S)."""
        return style * torch.rsqrt(style.square().mean(1, keepdim=True) + EPS)


class Constant(nn.Module):
    """The learnt map that a picture begins with."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(unit_deviation(1, channels, START_PX, START_PX))


class Generator(nn.Module):
    """StyleGAN2 whose levels are scaled and shifted place by place."""

    def __init__(self, side_px: int, channels: int, *, width: int, style: int, small: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [UnitLength()]
        for _ in range(NUM_STYLE_LAYERS):
            layers += [nn.Linear(style, style), nn.LeakyReLU(SLOPE)]
            nn.init.kaiming_uniform_(layers[-2].weight, a=SLOPE)  # pyright: ignore[reportArgumentType]
            nn.init.zeros_(layers[-2].bias)  # pyright: ignore[reportArgumentType]
        self.style_mlp = nn.Sequential(*layers)
        self.constant_input = Constant(channels_at(START_PX, width))
        before = channels_at(START_PX, width)
        self.style_conv1 = StyledConvolution(before, before, style, doubles=False)
        self.to_rgb1 = ReadOut(before, channels, style)
        self.style_convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        # The small one has a plain convolution in the place of each level's second.
        self.normal_convs = nn.ModuleList() if small else None
        for side in levels_of(side_px):
            here = channels_at(side, width)
            self.style_convs.append(StyledConvolution(before, here, style, doubles=True))
            if self.normal_convs is None:
                self.style_convs.append(StyledConvolution(here, here, style, doubles=False))
            else:
                self.normal_convs.append(nn.Sequential(nn.Conv2d(here, here, 3, padding=1), nn.LeakyReLU(SLOPE)))
            self.to_rgbs.append(ReadOut(here, channels, style))
            before = here
        # Stored in the published file and used by nothing: its noise is drawn anew for every picture.
        self.noises = nn.Module()
        for layer in range(1 + len(self.style_convs)):
            side = 2 ** ((layer + 5) // 2)
            self.noises.register_buffer(f"noise{layer}", torch.zeros(1, 1, side, side))

    def forward(
        self, style: Tensor, conditions: list[tuple[Tensor, Tensor]], generator: torch.Generator | None
    ) -> Tensor:
        """(B, S) and scale and shift (B, C, H, W) of each level, coarsest first -> (B, C', side, side)."""
        style = self.style_mlp(style)
        maps = self.constant_input.weight.expand(len(style), -1, -1, -1)
        maps = self.style_conv1(maps, style, generator)
        found = self.to_rgb1(maps, style, None)
        styled = iter(self.style_convs)
        for level, (scale, shift) in enumerate(conditions):
            maps = next(styled)(maps, style, generator) * scale + shift
            plain = self.normal_convs
            maps = next(styled)(maps, style, generator) if plain is None else plain[level](maps)
            found = self.to_rgbs[level](maps, style, found)
        return found


class StyleUNet(nn.Module):
    """Pictures to pictures of the same side.

    Args:
        side_px: Of both.
        source: Channels that come in.
        target: Channels that go out.
        width: Channels of the coarse levels.
        style: Channels of the style.
        takes_style: Whether a second style is given from outside.
        small: The decoder with one modulated convolution a level instead of two.
    """

    def __init__(
        self,
        side_px: int,
        source: int,
        target: int,
        *,
        width: int,
        style: int,
        takes_style: bool = False,
        small: bool = False,
    ) -> None:
        super().__init__()
        sides = levels_of(side_px)
        rising = [channels_at(side, width) for side in (START_PX, *sides)]
        self.conv_body_first = nn.Conv2d(source, rising[-1], 1)
        falling = rising[::-1]
        self.conv_body_down = nn.ModuleList(map(ResidualBlock, falling[:-1], falling[1:], [0.5] * len(sides)))
        self.final_conv = nn.Conv2d(rising[0], rising[0], 3, padding=1)
        self.conv_body_up = nn.ModuleList(map(ResidualBlock, rising[:-1], rising[1:], [2.0] * len(sides)))
        self.final_linear = nn.Linear(rising[0] * START_PX**2, style)
        self.style_fuse = (
            nn.Sequential(nn.Linear(2 * style, style), nn.LeakyReLU(SLOPE), nn.Linear(style, style))
            if takes_style
            else None
        )
        self.stylegan_decoder = Generator(side_px, target, width=width, style=style, small=small)
        self.condition_scale = nn.ModuleList(self._condition(channels) for channels in rising[1:])
        self.condition_shift = nn.ModuleList(self._condition(channels) for channels in rising[1:])

    @staticmethod
    def _condition(channels: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(
        self, pictures: Tensor, style: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Values without a bound.

        Args:
            pictures: (B, source, side, side).
            style: (B, S) from outside, where the network takes one.
            generator: Where noise comes from; None: none is added, and the same pictures give the same result.

        Returns:
            (B, target, side, side).
        """
        maps = F.leaky_relu(self.conv_body_first(pictures), SLOPE)
        kept = []
        for block in self.conv_body_down:
            maps = block(maps)
            kept.append(maps)
        maps = F.leaky_relu(self.final_conv(maps), SLOPE)
        own = self.final_linear(maps.flatten(1))
        if self.style_fuse is not None:
            if style is None:
                raise ValueError("this StyleUNet takes a style from outside, got none")
            own = self.style_fuse(torch.cat([own, style], 1))
        conditions = []
        for block, scale, shift in zip(self.conv_body_up, self.condition_scale, self.condition_shift, strict=True):
            maps = block(maps + kept.pop())
            conditions.append((scale(maps), shift(maps)))
        return self.stylegan_decoder(own, conditions, generator)
