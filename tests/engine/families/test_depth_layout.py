"""The depth network of SD 2 depth: MiDaS' names become transformers'."""

import re

import torch
from transformers import DPTConfig, DPTForDepthEstimation

from app.engine.families.depth_layout import convert_depth, depth_config

CONFIG = {
    "is_hybrid": True, "image_size": 64, "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 1, "intermediate_size": 128,
    "backbone_out_indices": [0, 1, 2, 3], "reassemble_factors": [1, 1, 1, 0.5], "neck_hidden_sizes": [256, 512, 64, 64], "fusion_hidden_size": 32,
    "readout_type": "project", "use_auxiliary_head": False,
}  # fmt: skip
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


def test_a_network_comes_back_from_midas_names() -> None:
    theirs = DPTForDepthEstimation(DPTConfig.from_dict(CONFIG)).eval()
    midas = in_midas(theirs.state_dict())
    config = depth_config(lambda name: tuple(midas[name].shape) if name in midas else ())
    assert {name: config[name] for name in CONFIG} == CONFIG
    assert {"pretrained.act_postprocess3.0.project.0.bias", "pretrained.act_postprocess4.4.weight", "scratch.refinenet1.resConfUnit2.conv1.bias"} < midas.keys()
    ours = DPTForDepthEstimation(DPTConfig.from_dict(config)).eval()
    missing = ours.load_state_dict(convert_depth(midas), strict=True)
    assert not missing.missing_keys
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(ours(x).predicted_depth, theirs(x).predicted_depth)


def test_transformers_own_names_are_kept() -> None:
    weights = {"dpt.embeddings.cls_token": torch.zeros(1), "neck.convs.0.weight": torch.zeros(1), "head.head.0.bias": torch.zeros(1)}
    assert convert_depth(weights).keys() == weights.keys()
