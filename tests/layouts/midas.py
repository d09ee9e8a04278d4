"""The depth network of SD 2 depth under the names that MiDaS has for it."""

import re

import torch

CONFIG = {
    "is_hybrid": True, "image_size": 64, "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 1, "intermediate_size": 128,
    "backbone_out_indices": [0, 1, 2, 3], "reassemble_factors": [1, 1, 1, 0.5], "neck_hidden_sizes": [256, 512, 64, 64], "fusion_hidden_size": 32,
    "readout_type": "project", "use_auxiliary_head": False,
}  # fmt: skip
"""Of a small network; the part in front of the transformer has its real size."""
LAST = {
    "layernorm_before": "norm1", "layernorm_after": "norm2", "intermediate.dense": "mlp.fc1", "attention.output.dense": "attn.proj", "output.dense": "mlp.fc2",
}  # fmt: skip


def in_midas(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The other way round: transformers' names as MiDaS has them, queries, keys and values in one matrix."""
    found = {}
    for name, value in weights.items():
        if part := re.match(r"dpt\.encoder\.layer\.(\d+)\.attention\.attention\.(query|key|value)\.(\w+)", name):
            whole = [weights[name.replace(part[2], other)] for other in ("query", "key", "value")]
            found[f"pretrained.model.blocks.{part[1]}.attn.qkv.{part[3]}"] = torch.cat(whole)
        elif part := re.match(r"dpt\.encoder\.layer\.(\d+)\.(.*)\.(\w+)$", name):
            found[f"pretrained.model.blocks.{part[1]}.{LAST[part[2]]}.{part[3]}"] = value
        elif part := re.match(r"neck\.reassemble_stage\.readout_projects\.(\d)\.0\.(\w+)", name):
            found[f"pretrained.act_postprocess{int(part[1]) + 1}.0.project.0.{part[2]}"] = value
        elif part := re.match(r"neck\.reassemble_stage\.layers\.(\d)\.(projection|resize)\.(\w+)", name):
            found[f"pretrained.act_postprocess{int(part[1]) + 1}.{3 if part[2] == 'projection' else 4}.{part[3]}"] = value
        elif part := re.match(r"neck\.convs\.(\d)\.", name):
            found[f"scratch.layer{int(part[1]) + 1}_rn.weight"] = value
        elif part := re.match(r"neck\.fusion_stage\.layers\.(\d)\.(.*)", name):
            inside = re.sub(r"residual_layer(\d)\.convolution(\d)", r"resConfUnit\1.conv\2", part[2]).replace("projection", "out_conv")
            found[f"scratch.refinenet{4 - int(part[1])}.{inside}"] = value
        else:
            plain = name.replace("head.head.", "scratch.output_conv.").replace("dpt.layernorm.", "pretrained.model.norm.")
            plain = plain.replace("dpt.embeddings.backbone.bit.", "pretrained.model.patch_embed.backbone.").replace("backbone.encoder.", "backbone.")
            plain = plain.replace(".layers.", ".blocks.").replace("embedder.convolution", "stem.conv").replace("embedder.norm", "stem.norm")
            plain = plain.replace("dpt.embeddings.position_embeddings", "pretrained.model.pos_embed").replace("dpt.embeddings.cls", "pretrained.model.cls")
            found[plain.replace("dpt.embeddings.projection", "pretrained.model.patch_embed.proj")] = value
    return found
