"""The depth network of SD 2 depth: MiDaS' names become transformers'."""

import torch
from transformers import DPTConfig, DPTForDepthEstimation

from app.engine.families.depth_layout import convert_depth, depth_config
from tests.layouts.midas import CONFIG, in_midas


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
