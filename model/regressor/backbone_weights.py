"""Published transformer weights, and our own, as the tensors of a regressor's backbone.

Known layouts: ViTPose (``backbone.*`` beside a keypoint head), ViTPose++ (the same with experts), HMR2's
``vitpose_backbone.pth`` (no prefix), training checkpoints of HMR2 and HaMeR and this package's regressors
(``backbone.*`` beside heads). ``model.weights.read_checkpoint`` reads the files.

Legend: N tokens, C channels, P of them from an expert.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from model.networks.sizes import PATCH_PX, ViTConfig
from model.networks.vit import ViT
from model.weights import load_into, num_blocks

log = logging.getLogger(__name__)

PREFIXES = ("backbone.", "")
"""What may stand before the names of the backbone."""
POSITIONS = "pos_embed"
PATCHES = "patch_embed.proj.weight"
STEM_MARKS = {"patches": PATCHES, "convolutions": "patch_embed.convolutions.0.weight"}
"""A tensor by which each of ``model.networks.sizes.Stem`` is known."""
EXPERT_NAMES = ("COCO", "AIC", "MPII", "AP-10K", "APT-36K", "COCO-WholeBody")
"""Data of ViTPose++'s experts 0..5, in the order of its tools/model_split.py."""
_EXPERT = re.compile(r"(?P<mlp>blocks\.\d+\.mlp)\.experts\.(?P<expert>\d+)\.(?P<part>weight|bias)")


def backbone_tensors(
    tensors: Mapping[str, Tensor],
    config: ViTConfig,
    *,
    expert: int | None = None,
    image_size: tuple[int, int] | None = None,
    source: str,
) -> dict[str, Tensor]:
    """The tensors of a file that a ViT of this size loads, float32, under its names; all else is dropped and logged.

    Args:
        tensors: Tensors of the file.
        config: Size of the ViT.
        expert: Which of ViTPose++'s experts completes its MLPs.
        image_size: Height and width in px of the images that the file's position table was made for, if it is to be
            interpolated to the grid of ``config``; None refuses a table of another grid.
        source: What to call the file in an error.

    Raises:
        ValueError: No such transformer in the file; another width, depth, MLP or position table than ``config``; the
            file has experts and none is chosen, or another way round; names missing or unknown; not finite.
    """
    marks = [(prefix, stem) for prefix in PREFIXES for stem, mark in STEM_MARKS.items() if prefix + mark in tensors]
    prefix, stem = marks[0] if marks else (None, "")
    if prefix is None or prefix + POSITIONS not in tensors:
        shown = ", ".join(list(tensors)[:4]) or "nothing"
        raise ValueError(
            f"{source} has no vision transformer of ViTPose's names ({POSITIONS}, {PATCHES}, with or without "
            f"`backbone.`); it has {shown}"
        )
    found = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    dropped = sorted({name.partition(".")[0] for name in tensors if not name.startswith(prefix)})
    if not prefix:
        heads = {name for name in found if re.match(r"(keypoint_head|associate_keypoint_heads)\.", name)}
        dropped = sorted({name.partition(".")[0] for name in heads})
        found = {name: tensor for name, tensor in found.items() if name not in heads}
    if dropped:
        log.info("%s: taking the backbone only, dropping %s", source, ", ".join(dropped))
    _check_size(found, stem, config, source)
    found = _with_expert(found, config, expert, source)
    found[POSITIONS] = _positions(found[POSITIONS], config, image_size, source)
    with torch.device("meta"):
        network = ViT(config)
    load_into(network, found, path=source)
    return network.state_dict()


def _check_size(found: Mapping[str, Tensor], stem: str, config: ViTConfig, source: str) -> None:
    sides = {
        "stem": (stem, config.stem),
        "width": (found[POSITIONS].shape[-1], config.width),
        "depth": (num_blocks(found, "blocks"), config.depth),
    }
    differing = {name: (file, asked) for name, (file, asked) in sides.items() if file != asked}
    if differing:
        told = ", ".join(
            f"{name} {file} where the settings ask for {asked}" for name, (file, asked) in differing.items()
        )
        raise ValueError(
            f"{source} is another vision transformer: {told}; choose the backbone of the file, or its file"
        )


def _with_expert(found: Mapping[str, Tensor], config: ViTConfig, expert: int | None, source: str) -> dict[str, Tensor]:
    """Puts an expert's P channels after the C - P shared ones of each MLP's second layer, as ViTPose++ does."""
    plain = {name: tensor for name, tensor in found.items() if not _EXPERT.fullmatch(name)}
    experts = {match.groups(): found[name] for name in found if (match := _EXPERT.fullmatch(name))}
    numbers = sorted({int(number) for _, number, _ in experts})
    names = {number: EXPERT_NAMES[number] if number < len(EXPERT_NAMES) else "unnamed" for number in numbers}
    listed = ", ".join(f"{number} ({name})" for number, name in names.items())
    shared = plain.get("blocks.0.mlp.fc2.weight")
    if experts and shared is not None and shared.shape[0] == config.width:
        if expert is not None:
            raise ValueError(f"{source}: its MLPs are complete, an expert cannot be chosen any more; leave it out")
        log.info("%s: MLPs are complete, dropping experts %s", source, listed)
        return plain
    if not experts:
        if expert is not None:
            raise ValueError(f"{source} has no experts, so expert {expert} cannot be chosen; leave it out")
        return plain
    if expert not in numbers:
        asked = "none is chosen" if expert is None else f"there is no {expert}"
        raise ValueError(f"{source} is a ViTPose++ file whose MLPs need one of its experts {listed}; {asked}")
    log.info("%s: expert %s completes the MLPs", source, f"{expert} ({names[expert]})")
    for (mlp, number, part), tensor in experts.items():
        name = f"{mlp}.fc2.{part}"
        if int(number) == expert and name in plain:
            plain[name] = torch.cat([plain[name], tensor])
    return plain


def _positions(table: Tensor, config: ViTConfig, image_size: tuple[int, int] | None, source: str) -> Tensor:
    """The position table (1, 1 + N, C) for the grid of ``config``; the first entry has no place in the picture."""
    if image_size is None:
        if table.shape[1] != config.num_tokens + 1:
            raise ValueError(
                f"{source}: its position table is for {table.shape[1] - 1} tokens, images of {config.image_size} px "
                f"have {config.num_tokens}; take that size of crop, or give the file's image size to interpolate"
            )
        return table
    rows, columns = (side // PATCH_PX for side in image_size)
    if rows * columns + 1 != table.shape[1]:
        raise ValueError(
            f"{source}: its position table is for {table.shape[1] - 1} tokens, images of {image_size} px as given have "
            f"{rows * columns}"
        )
    grid = tuple(side // PATCH_PX for side in config.image_size)
    if grid == (rows, columns):
        return table
    log.info("%s: position table of %s x %s tokens interpolated to %s x %s", source, rows, columns, *grid)
    picture = table[:, 1:].float().unflatten(1, (rows, columns)).permute(0, 3, 1, 2)
    picture = F.interpolate(picture, size=grid, mode="bicubic", align_corners=False)
    return torch.cat([table[:, :1].float(), picture.flatten(2).transpose(1, 2)], 1)
