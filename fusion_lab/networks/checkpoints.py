"""From the names in official checkpoints to ours: one rename table for each release."""

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Names = list[tuple[str, str | Callable[[re.Match[str]], str]]]
"""Patterns, and what takes their place, one after the other."""

_FUSION_BLOCK = r"^layers_Fusion\.(\d+)\.residual_group(_A|_B|)\.blocks\.(\d+)\."
_BLOCKS_PER_GROUP = 4


def _tita_block(match: re.Match[str]) -> str:
    return f"interaction.blocks.{int(match[1]) * _BLOCKS_PER_GROUP + int(match[3])}."


def _swinfusion_block(match: re.Match[str]) -> str:
    group, stream, number = int(match[1]) * _BLOCKS_PER_GROUP, match[2], int(match[3])
    if stream:
        return f"interaction.blocks.{group + number}.streams.{('_A', '_B').index(stream)}."
    return f"interaction.blocks.{group + _BLOCKS_PER_GROUP // 2 + number}."


# TITA is built on SwinFusion, whose names it kept.
_BLOCK_NAMES: Names = [
    (r"relative_position_bias_table$", "bias_table"),
    (r"\.attn_A\.", ".attention.0."),
    (r"\.attn_B\.", ".attention.1."),
    (r"\.attn\.", ".attention."),
    (r"\.q\.", ".query."),
    (r"\.kv\.", ".key_value."),
    (r"\.proj\.", ".projection."),
    (r"\.(norm[12]|mlp)_A\.", r".\1.0."),
    (r"\.(norm[12]|mlp)_B\.", r".\1.1."),
    (r"\.fc1\.", ".0."),
    (r"\.fc2\.", ".2."),
]

_COMMON_NAMES: Names = [
    (r"^conv_first1_A\.", "shallow.0."),
    (r"^conv_first2_A\.", "shallow.2."),
    (r"^patch_embed\.norm\.", "embed_norm."),
    (r"^layers_Ex_A\.0\.residual_group\.", "extraction_a."),
    (r"^layers_Ex_B\.0\.residual_group\.", "extraction_b."),
    (r"^layers_Re\.0\.residual_group\.", "reconstruction."),
    (r"^norm_Ex_A\.", "extraction_a.norm."),
    (r"^norm_Ex_B\.", "extraction_b.norm."),
    (r"^norm_Re\.", "reconstruction.norm."),
    (r"^norm_Fusion_A\.", "interaction.norm_a."),
    (r"^norm_Fusion_B\.", "interaction.norm_b."),
    (r"^conv_last1\.", "head.0."),
    (r"^conv_last2\.", "head.2."),
    (r"^conv_last3\.", "head.4."),
    *_BLOCK_NAMES,
]

_TITA_NAMES: Names = [
    (_FUSION_BLOCK, _tita_block),
    (r"\.cross_attn_0_to_1\.", ".pixel_attention.attention_a."),
    (r"\.cross_attn_1_to_0\.", ".pixel_attention.attention_b."),
    (r"\.out_proj\.", ".projection."),
    (r"\.relation_judger\.0\.", ".pixel_attention.discriminator."),
    (r"\.k_noise\.weight$", ".pixel_attention.noise1"),
    (r"\.v_noise\.weight$", ".pixel_attention.noise2"),
    (r"^weight_gen\.2\.", "adaptation.weight_generator."),
    (r"^fafb_A\.", "adaptation.source_a."),
    (r"^fafb_B\.", "adaptation.source_b."),
    (r"\.channel_compressor\.", ".compress."),
    (r"\.ahpf_generator\.0\.", ".branches.HighPass.generator."),
    (r"\.residual_generator\.0\.", ".branches.Addition.generator."),
    (r"\.weight_generator\.0\.", ".branches.Multiplication.generator."),
    *_COMMON_NAMES,
]

_SWINFUSION_NAMES: Names = [
    (_FUSION_BLOCK, _swinfusion_block),
    (r"^conv_after_body_Fusion\.", "adaptation.convolution."),
    *_COMMON_NAMES,
]

_GIFNET_NAMES: Names = [
    (r"^getSharedFeatures\.conv_(\d)\.conv2d\.", lambda m: f"encoder.layers.{int(m[1]) - 1}."),
    (r"^decoder_rec\.decoder\.(\d+)\.", lambda m: f"reconstruction.{int(m[1]) // 3 * 2}."),
    (r"^cnnDecoder\.decoder\.(\d+)\.", lambda m: f"decoder.{int(m[1]) // 3 * 2}."),
    (r"^cnnDecoder\.fuseComplementFeatures\.mlp\.", "gate."),
    (r"^extractor_multask\.SwinTransformerSpecific\.", ""),
    (r"^patch_embed_ivif\.proj\.", "multi_modal.embedding."),
    (r"^patch_embed_mfif\.proj\.", "digital_photography.embedding."),
    (r"^patch_unembed\.proj\.0\.", "merge."),
    (r"^layer1\.weights\.0$", "influence.multi_modal"),
    (r"^layer1\.weights_mfif\.0$", "influence.digital_photography"),
    (r"^layer1\.blocks\.(\d)\.attn\.attn\.meta\.", r"offset_bias.\1.mlp."),
    (r"^layer1\.blocks\.(\d)\.(.*)_mfif\.", r"digital_photography.blocks.\1.\2."),
    (r"^layer1\.blocks\.", "multi_modal.blocks."),
    (r"\.norm1\.weight$", ".norm.gain"),
    (r"\.norm1\.bias$", ".norm.offset"),
    (r"\.norm1\.meta1\.", ".norm.rescale."),
    (r"\.norm1\.meta2\.", ".norm.rebias."),
    (r"\.attn\.QK\.", ".query_key."),
    (r"\.attn\.V\.", ".value."),
    (r"\.attn\.conv\.", ".depthwise."),
    (r"\.attn\.proj\.", ".projection."),
    (r"\.mlp\.mlp\.", ".mlp."),
]
# Offsets that follow from the window, and scalars that only blocks without crossing would use.
_GIFNET_UNUSED = re.compile(r"relative_positions$|layer1\.weights(_mfif)?\.1$")

# Buffers that follow from the architecture, and two convolutions that the official forward pass never calls.
_UNUSED = re.compile(r"attn_mask$|relative_position_index$|hamming_highpass$|^conv_first[12]_B\.")


def from_official_ifcnn(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Complete the tensors of an official IFCNN checkpoint, whose names `IFCNN` has.

    They were saved before batch normalisation counted its batches.
    """
    means = [name for name in state if name.endswith(".bn.running_mean")]
    return {**state, **{name.replace("running_mean", "num_batches_tracked"): torch.tensor(0) for name in means}}


def from_official_gifnet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of an official GIFNet checkpoint to those of `GIFNet`.

    Names that the release does not have are kept, so that loading reports them as unexpected.
    """
    return _rename(state, _GIFNET_NAMES, _GIFNET_UNUSED)


def from_official_tita(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of an official TITA checkpoint to those of `TITA`.

    Names that the release does not have are kept, so that loading reports them as unexpected.
    """
    return _rename(state, _TITA_NAMES, _UNUSED)


def from_official_swinfusion(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of an official SwinFusion checkpoint to those of `TITA` as SwinFusion builds it.

    That is without pixel attention and operations, two intra-domain blocks before every two inter-domain ones. Names
    that the release does not have are kept, so that loading reports them as unexpected.
    """
    return _rename(state, _SWINFUSION_NAMES, _UNUSED)


def _rename(state: Mapping[str, Tensor], names: Names, unused: re.Pattern[str]) -> dict[str, Tensor]:
    converted: dict[str, Tensor] = {}
    for official, tensor in state.items():
        if unused.search(official):
            continue
        name = official
        for pattern, ours in names:
            name = re.sub(pattern, ours, name)
        converted.update(_split(name, tensor))
    return converted


def _split(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """Return stacked query, key and value matrices their own names."""
    if match := re.search(r"in_proj_(weight|bias)$", name):
        stem = name[: match.start()]
        parts = tensor.chunk(3)
        return {f"{stem}{part}.{match[1]}": t for part, t in zip(("query", "key", "value"), parts, strict=True)}
    if match := re.search(r"qkv\.(weight|bias)$", name):
        stem, third = name[: match.start()], len(tensor) // 3
        return {f"{stem}query.{match[1]}": tensor[:third], f"{stem}key_value.{match[1]}": tensor[third:]}
    return {name: tensor}
