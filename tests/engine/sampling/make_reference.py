"""Makes tests/golden/k_diffusion.json and tests/golden/brownian.json with the libraries that samplers are held to.

    pip install --no-deps --target FOLDER k-diffusion torchsde torchdiffeq scipy trampoline tqdm
    python -m tests.engine.sampling.make_reference FOLDER

k-diffusion 0.1.1 is run in float64 on the problem of `toy`; torchsde 0.2.6 gives the Brownian paths. Of k-diffusion only `sampling.py` is
loaded, since the rest of it wants libraries that have nothing to do with sampling.
"""

import inspect
import json
import math
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.engine.sampling.toy import HIGH, LOW, START, STEPS, Noise, denoised, levels

GOLDEN = Path(__file__).parents[2] / "golden"
CHURN = {"s_churn": 4.0, "s_tmin": 0.1, "s_tmax": 8.0, "s_noise": 1.02}
LESS = {"eta": 0.6, "s_noise": 1.02}
CASES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("Euler", "euler", {}), ("Euler", "euler", CHURN), ("Euler a", "euler_ancestral", {}), ("Euler a", "euler_ancestral", LESS), ("Heun", "heun", {}),
    ("Heun", "heun", CHURN), ("DPM2", "dpm_2", {}), ("DPM2", "dpm_2", CHURN), ("DPM2 a", "dpm_2_ancestral", {}), ("DPM2 a", "dpm_2_ancestral", LESS),
    ("LMS", "lms", {}), ("LMS", "lms", {"order": 2}), ("DPM++ 2S a", "dpmpp_2s_ancestral", {}), ("DPM++ 2S a", "dpmpp_2s_ancestral", LESS),
    ("DPM++ SDE", "dpmpp_sde", {}), ("DPM++ SDE", "dpmpp_sde", LESS), ("DPM++ 2M", "dpmpp_2m", {}), ("DPM++ 2M SDE", "dpmpp_2m_sde", {}),
    ("DPM++ 2M SDE", "dpmpp_2m_sde", LESS), ("DPM++ 2M SDE Heun", "dpmpp_2m_sde", {"solver_type": "heun"}),
    ("DPM++ 2M SDE Heun", "dpmpp_2m_sde", LESS | {"solver_type": "heun"}), ("DPM++ 3M SDE", "dpmpp_3m_sde", {}),
    ("DPM++ 3M SDE", "dpmpp_3m_sde", LESS), ("DPM fast", "dpm_fast", {"eta": 0.0}), ("DPM fast", "dpm_fast", {"eta": 1.0}),
    ("DPM fast", "dpm_fast", LESS), ("DPM adaptive", "dpm_adaptive", {"eta": 0.0}), ("DPM adaptive", "dpm_adaptive", {"eta": 1.0}),
    ("DPM adaptive", "dpm_adaptive", LESS | {"rtol": 0.01, "atol": 0.002}),
)  # fmt: skip


def k_diffusion() -> types.ModuleType:
    """k_diffusion.sampling, without the rest of the package."""
    package = types.ModuleType("k_diffusion")
    package.__path__ = [str(Path(folder) / "k_diffusion") for folder in sys.path if (Path(folder) / "k_diffusion").is_dir()]
    small = types.ModuleType("k_diffusion.utils")
    small.append_dims = lambda x, dimensions: x[(...,) + (None,) * (dimensions - x.ndim)]
    package.utils = small
    sys.modules |= {"k_diffusion": package, "k_diffusion.utils": small}
    import k_diffusion.sampling as sampling

    return sampling


def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(denoised(x.numpy(), float(sigma.flatten()[0])))


def run(sampling: types.ModuleType, function: str, steps: int, options: dict[str, Any]) -> list[float]:
    """Where k-diffusion ends."""
    noise = Noise()
    draw: Callable[..., torch.Tensor] = lambda *_: torch.from_numpy(noise())  # noqa: E731
    sampling.torch.randn_like = draw
    sigmas = levels(steps)
    x = torch.from_numpy(START * sigmas[0])
    sampler = getattr(sampling, f"sample_{function}")
    given = dict(options)
    if "noise_sampler" in inspect.signature(sampler).parameters:
        given["noise_sampler"] = draw
    if function in ("dpm_fast", "dpm_adaptive"):
        low = sigmas[-2] if steps > 1 else 1e-12  # one step: straight to the end
        count = {"n": steps} if function == "dpm_fast" else {}
        return sampler(model, x, low, sigmas[0], disable=True, **count, **given).tolist()
    try:
        return sampler(model, x, torch.tensor(sigmas), disable=True, **given).tolist()
    except UnboundLocalError:  # a slip of k-diffusion's 2M SDE, which cannot take its closing step first
        return denoised(START * sigmas[0], sigmas[0]).tolist()


def reference(sampling: types.ModuleType) -> dict[str, Any]:
    cases = [
        {"sampler": name, "options": {key: value for key, value in options.items() if key != "solver_type"}, "steps": steps,
         "end": run(sampling, function, steps, options)}
        for name, function, options in CASES
        for steps in (STEPS if function != "dpm_adaptive" else (20,))
    ]  # fmt: skip
    schedules = {
        "Karras": [sampling.get_sigmas_karras(9, LOW, HIGH, rho).tolist() for rho in (7.0, 3.0)],
        "Exponential": [sampling.get_sigmas_exponential(9, LOW, HIGH).tolist()],
        "Polyexponential": [sampling.get_sigmas_polyexponential(9, LOW, HIGH, rho).tolist() for rho in (1.0, 0.5)],
    }
    return {"about": "Where k-diffusion 0.1.1 ends, see tests/engine/sampling/make_reference.py", "cases": cases, "schedules": schedules}


def paths() -> dict[str, Any]:
    """Increments of torchsde's tree."""
    import torchsde

    low, high, shape = 0.0291675, 14.614641, (3,)
    intervals = [(6.0, high), (1.5, 6.0), (0.25, 1.5), (0.03, 0.25), (low, 0.03), (2.0, 2.5), (low, high)]
    cases = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.set_default_dtype(torch.float32)
        for seed in (0, 1, 123456789, 2**32 - 1, 2**63 + 5):
            tree = torchsde.BrownianTree(low, torch.zeros(shape), high, entropy=seed)
            cases.append({"seed": seed, "increments": [tree(start, end).tolist() for start, end in intervals]})
    return {"about": "torchsde 0.2.6, BrownianTree", "low": low, "high": high, "shape": shape, "intervals": intervals, "cases": cases}


def main(folder: str) -> None:
    sys.path.insert(0, folder)
    torch.set_default_dtype(torch.float64)
    made = reference(k_diffusion())
    assert all(math.isfinite(value) for case in made["cases"] for value in case["end"])
    for name, content in (("k_diffusion", made), ("brownian", paths())):
        (GOLDEN / f"{name}.json").write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main(sys.argv[1])
