"""What may be done with an export: the terms of what was labelled and of the body model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OPEN_LICENCES = ("CC0",)
"""How the licences of bodies begin whose meshes may be passed on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """Of one file or of several."""

    data: Mapping[str, str]
    """Licence of each data set by its id; empty where it is not stated."""
    body_model: Mapping[str, Any]
    """What footers state of the body."""

    @property
    def text(self) -> str:
        """Everything on one line."""
        return "; ".join(f"{what}: {text}" for what, text in self._stated())

    @property
    def page(self) -> str:
        """The content of the file that lies beside an export."""
        lines = [f"{what}: {text}\n" for what, text in self._stated()]
        if not is_open(self.body_model):
            lines.append(
                "The body model is licensed: a mesh, skin or blend shape of it may not be passed on; poses and shapes "
                "are numbers of a person, for the uses that its terms allow.\n"
            )
        return "\n".join(["Terms of the files in this folder\n", *lines])

    def _stated(self) -> list[tuple[str, str]]:
        known = {name: " ".join(text.split()) for name, text in self.data.items() if text}
        named = {"labels": next(iter(known.values()))} if len(self.data) == 1 and known else {
            f"labels of {name}": text for name, text in known.items()
        }  # fmt: skip
        body = " ".join(str(self.body_model.get("licence") or "").split())
        return [*named.items(), *([("body model", body)] if body else [])]

    def check_one(self, *, allowed: bool) -> None:
        """Refuses data sets of differing terms in one file, unless that is allowed.

        Raises:
            ValueError: They differ.
        """
        first, *others = self.data.items()
        other = next((own for own in others if own[1] != first[1]), None)
        if other is not None and not allowed:
            raise ValueError(
                f"{first[0]} and {other[0]} have differing terms ({first[1] or 'not stated'!r} and "
                f"{other[1] or 'not stated'!r}), and one file of both is under both; leave --together, or say "
                "--mixed-terms"
            )


def is_open(body_model: Mapping[str, Any]) -> bool:
    """Whether the mesh of a body may be passed on."""
    return str(body_model.get("licence", "")).startswith(OPEN_LICENCES)


def check_mesh(form: str, body_model: Mapping[str, Any], *, allowed: bool) -> None:
    """Refuses meshes of a licensed body, unless that is allowed.

    Raises:
        ValueError: The body is licensed.
    """
    if not is_open(body_model) and not allowed:
        raise ValueError(
            f"{form} holds the mesh of {body_model.get('name', 'an unnamed body')}, whose licence is "
            f"{body_model.get('licence') or 'not stated'!r}: say --licensed-mesh if you may use it so, and do not "
            "pass the files on; amass, bvh and smplx-npz hold no mesh, and that of the open body is free"
        )
