"""The settings of the refinement: read without torch, refused by name."""

import subprocess
import sys

import pytest

from fitting.settings import RefineConfig, SolverConfig


def test_reading_settings_loads_no_array_library() -> None:
    code = "import sys, fitting.settings; print(*{'torch', 'numpy', 'pydantic'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.split() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_iterations", -1), ("damping", 0.0), ("damping_factor", 1.0), ("refresh_every", 0), ("plan", "quick")],
)
def test_solver_settings_out_of_range_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^{field}: expected .*, got {value!r}"):
        SolverConfig(**{field: value})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("robust_scale", 0.0),
        ("robust_scale", float("nan")),
        ("graduated_scale", 1.0),
        ("pose_sigma_deg", (1.0,)),
        ("num_finalists", 9),
        ("iterations", -1),
        ("wrong_joint_share", 1.0),
        ("wrong_joint_factor", 1.0),
        ("surface_sigma_m", (0.01,) * 5),
        ("surface_offset_m", (0.01,) * 5),
        ("jaw_sigma_rad", (0.2, 0.05, 0.0)),
    ],
)
def test_settings_out_of_range_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^{field}: expected .*, got "):
        RefineConfig(**{field: value})  # pyright: ignore[reportArgumentType]


def test_the_plan_depends_on_the_device_unless_it_is_chosen() -> None:
    assert not SolverConfig().is_fixed("cpu")
    assert SolverConfig().is_fixed("cuda")
    assert SolverConfig(plan="fixed").is_fixed("cpu")
    assert not SolverConfig(plan="adaptive").is_fixed("cuda")
