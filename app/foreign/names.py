"""How other programs call samplers and schedules, and what A1111 and we call them."""

from collections.abc import Mapping

K_DIFFUSION = {
    "euler": "Euler", "euler_ancestral": "Euler a", "heun": "Heun", "heunpp2": "HeunPP2", "dpm_2": "DPM2", "dpm_2_ancestral": "DPM2 a", "lms": "LMS",
    "dpm_fast": "DPM fast", "dpm_adaptive": "DPM adaptive", "dpmpp_2s_ancestral": "DPM++ 2S a", "dpmpp_sde": "DPM++ SDE", "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE", "dpmpp_2m_sde_heun": "DPM++ 2M SDE Heun", "dpmpp_3m_sde": "DPM++ 3M SDE", "ddpm": "DDPM", "lcm": "LCM", "ipndm": "IPNDM",
    "deis": "DEIS", "ddim": "DDIM", "uni_pc": "UniPC", "uni_pc_bh2": "UniPC", "restart": "Restart", "plms": "PLMS", "tcd": "TCD",
}  # fmt: skip
"""ComfyUI's names, which Fooocus has too; "_gpu" behind one says only where its noise was drawn."""
SCHEDULES = {
    "normal": "Normal", "karras": "Karras", "exponential": "Exponential", "polyexponential": "Polyexponential", "sgm_uniform": "SGM Uniform",
    "simple": "Simple", "ddim_uniform": "DDIM", "beta": "Beta", "kl_optimal": "KL Optimal",
    "align_your_steps": "Align Your Steps", "ays": "Align Your Steps", "turbo": "Turbo",
    "lcm": "SGM Uniform", "tcd": "SGM Uniform", "automatic": "Automatic",
}  # fmt: skip
"""ComfyUI's and Fooocus' schedules."""
INVOKEAI = {
    "ddim": "DDIM", "ddpm": "DDPM", "deis": "DEIS", "dpmpp_2m": "DPM++ 2M", "dpmpp_2m_sde": "DPM++ 2M SDE", "dpmpp_sde": "DPM++ SDE",
    "dpmpp_3m_sde": "DPM++ 3M SDE", "dpmpp_2s": "DPM++ 2S a", "heun": "Heun", "kdpm_2": "DPM2", "kdpm_2_a": "DPM2 a",
    "lms": "LMS", "pndm": "PLMS", "unipc": "UniPC", "euler": "Euler",
    "euler_a": "Euler a", "lcm": "LCM", "tcd": "TCD", "plms": "PLMS", "k_lms": "LMS", "k_euler": "Euler", "k_euler_a": "Euler a", "k_heun": "Heun",
    "k_dpm_2": "DPM2", "k_dpm_2_a": "DPM2 a", "k_dpmpp_2": "DPM++ 2M", "k_dpmpp_2_a": "DPM++ 2S a",
}  # fmt: skip
"""InvokeAI's "schedulers": today's, of which "_k" behind one means Karras' schedule, and those before version 3."""
NOVELAI = {
    "k_euler": "Euler", "k_euler_ancestral": "Euler a", "k_lms": "LMS", "k_heun": "Heun", "k_dpm_2": "DPM2", "k_dpm_2_ancestral": "DPM2 a",
    "k_dpm_fast": "DPM fast", "k_dpm_adaptive": "DPM adaptive", "k_dpmpp_2s_ancestral": "DPM++ 2S a", "k_dpmpp_sde": "DPM++ SDE", "k_dpmpp_2m": "DPM++ 2M",
    "k_dpmpp_2m_sde": "DPM++ 2M SDE", "k_dpmpp_3m_sde": "DPM++ 3M SDE", "ddim": "DDIM", "ddim_v3": "DDIM", "plms": "PLMS",
}  # fmt: skip


def sampler(name: str, table: Mapping[str, str], notes: list[str]) -> str:
    """The sampler by our name; "" and a sentence when there is none."""
    return look_up("sampler", name, table, notes, name.casefold().removesuffix("_gpu"))


def schedule(name: str, notes: list[str]) -> str:
    """The schedule by our name; "" and a sentence when there is none."""
    return look_up("schedule", name, SCHEDULES, notes, name.casefold())


def look_up(kind: str, name: str, table: Mapping[str, str], notes: list[str], key: str) -> str:
    ours = {value.casefold(): value for value in table.values()}
    found = table.get(key) or ours.get(key, "")
    if name and not found:
        notes.append(f"Darkroom has no {kind} '{name[:60]}'.")
    return found
