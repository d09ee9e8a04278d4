"""The real layouts of model files, as tables of names and shapes: full key lists at any width, without a number in them.

    from tests.layouts import checkpoints, write
    keys = checkpoints.single("sdxl")                       # {"model.diffusion_model.input_blocks.0.0.weight": (32, 4, 3, 3), ...}
    write.sparse(tmp_path / "x.safetensors", keys)          # right header, zeros that take no room on the disk

`unet`, `vae` and `clip` give the parts in LDM's names and in diffusers'; `checkpoints` puts them together for each family,
`loras` makes adapters over them. No torch is needed.
"""
