"""TITA and GIFNet as plain programs compute them: every map whole, every step after the formula, nothing shared.

Written after the papers and the notes on their releases: masks are made anew for every block, pixel attention goes
through PyTorch's attention over sequences of two, HPF through `unfold`. The parameters are those of our networks, so
that both can be compared.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion_lab.networks import TITA, GIFNet
from fusion_lab.networks.attention.cross_fusion import BranchBlock
from fusion_lab.networks.attention.pixel import PixelAttention, TwoKeyAttention
from fusion_lab.networks.attention.window import WindowAttention
from fusion_lab.networks.interaction import InterBlock
from fusion_lab.networks.layers.padding import pad_to_multiple
from fusion_lab.networks.layers.stage import SelfStage
from fusion_lab.networks.layers.swin import SelfBlock
from fusion_lab.networks.layers.windows import shift_mask, window_partition, window_reverse
from fusion_lab.networks.operations.adaptive_fusion import SourceOperations


def tita(network: TITA, source_a: Tensor, source_b: Tensor) -> Tensor:
    """Fuse ``(B, 1, H, W)`` and ``(B, 1, H, W)`` with the official TITA's arrangement and operations."""
    height, width = source_a.shape[-2:]

    def embed(source: Tensor) -> Tensor:
        return network.embed_norm(network.shallow(pad_to_multiple(source, 8)).permute(0, 2, 3, 1))

    x = network.embed_norm(_self_stage(network.extraction_a, embed(source_a)))
    y = network.embed_norm(_self_stage(network.extraction_b, embed(source_b)))
    for block in network.interaction.blocks:
        x, y = _inter_block(block, x, y)
    x, y = (
        norm(each).permute(0, 3, 1, 2)
        for norm, each in ((network.interaction.norm_a, x), (network.interaction.norm_b, y))
    )
    oaf = network.adaptation
    weights = oaf.weight_generator(torch.cat([x, y], 1).mean((-2, -1))).softmax(-1)
    fused = sum(
        weights[:, i, None, None, None] * branch
        for i, branch in enumerate([*_operations(oaf.source_a, x), *_operations(oaf.source_b, y)])
    )
    fused = _self_stage(network.reconstruction, network.embed_norm(fused.permute(0, 2, 3, 1)))
    return network.head(fused.permute(0, 3, 1, 2))[..., :height, :width]


def _self_stage(stage: SelfStage, x: Tensor) -> Tensor:
    for block in stage.blocks:
        assert isinstance(block, SelfBlock)
        normed = block.norm1(x)
        x = x + block.drop_path(_window_attention(block.attention, normed, normed))
        x = x + block.drop_path(block.mlp(block.norm2(x)))
    return stage.norm(x)


def _inter_block(block: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    assert isinstance(block, InterBlock)
    normed_x, normed_y = block.norm1[0](x), block.norm1[1](y)
    from_x = _window_attention(block.attention[0], normed_x, normed_y)
    from_y = _window_attention(block.attention[1], normed_y, normed_x)
    if block.pixel_attention is not None:
        pixel = block.pixel_attention
        from_x, from_y = (
            _pixel_attention(pixel, from_x, from_y, pixel.attention_a, 0),
            _pixel_attention(pixel, from_y, from_x, pixel.attention_b, 1),
        )
    x, y = x + block.drop_path(from_x), y + block.drop_path(from_y)
    x = x + block.drop_path(block.mlp[0](block.norm2[0](x)))
    y = y + block.drop_path(block.mlp[1](block.norm2[1](y)))
    return x, y


def _window_attention(attention: nn.Module, query: Tensor, other: Tensor) -> Tensor:
    assert isinstance(attention, WindowAttention)
    batch, height, width, _ = query.shape
    size, shift, heads = attention.window_size, attention.shift, attention.num_heads
    if shift:
        query, other = (each.roll((-shift, -shift), (1, 2)) for each in (query, other))
    query, other = (window_partition(each, size).flatten(0, 1) for each in (query, other))
    q = attention.query(query).unflatten(-1, (heads, -1)).transpose(1, 2)
    k, v = attention.key_value(other).unflatten(-1, (2, heads, -1)).permute(2, 0, 3, 1, 4)
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    bias = attention.bias_table[attention.index].view(size**2, size**2, heads).permute(2, 0, 1)
    logits = logits + bias[None]
    if shift:
        mask = shift_mask(height, width, size, shift, like=logits)
        logits = (logits.unflatten(0, (batch, -1)) + mask[None, :, None]).flatten(0, 1)
    out = attention.projection((logits.softmax(-1) @ v).transpose(1, 2).flatten(2))
    out = window_reverse(out.unflatten(0, (batch, -1)), size, height, width)
    return out.roll((shift, shift), (1, 2)) if shift else out


def _pixel_attention(pixel: PixelAttention, own: Tensor, other: Tensor, attention: TwoKeyAttention, row: int) -> Tensor:
    score = pixel.discriminator(torch.cat([own, other], -1)).softmax(-1)
    keys, values = pixel.keys_and_values(own, other, score, pixel.noise1[row], pixel.noise2[row])
    layers = (attention.query, attention.key, attention.value)
    query, key, value = (torch.stack(each, -2).flatten(0, 2).transpose(0, 1) for each in ((own,), keys, values))
    out, _ = F.multi_head_attention_forward(
        query, key, value, query.shape[-1], attention.num_heads,
        torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers]),
        None, None, False, 0.0, attention.projection.weight, attention.projection.bias,
    )  # fmt: skip
    return own + out[0].view_as(own)


def _operations(source: SourceOperations, x: Tensor) -> list[Tensor]:
    compressed = source.compress(x)
    high_pass, addition, multiplication = source.branches.values()
    kernels = high_pass.generator(compressed).softmax(1) * high_pass.hamming
    kernels = kernels / kernels.sum(1, keepdim=True)
    patches = F.unfold(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3).view(len(x), x.shape[1], 9, *x.shape[-2:])
    low = (patches * kernels[:, None]).sum(2)
    return [x - low, x + addition.generator(compressed), x * multiplication.generator(compressed)]


def gifnet_encode(network: GIFNet, source_a: Tensor, source_b: Tensor) -> Tensor:
    """Encode ``(B, 1, H, W)`` each to ``(B, C, H, W)``."""
    features = torch.cat([source_b, source_a], 1)
    for layer in network.encoder.layers:
        features = torch.cat([features, layer(features).relu()], 1)
    return features


def gifnet(network: GIFNet, source_a: Tensor, source_b: Tensor) -> Tensor:
    """Fuse ``(B, 1, H, W)`` and ``(B, 1, H, W)`` with the network's own main branch."""
    features = gifnet_encode(network, source_a, source_b)
    return gifnet_fuse(network, features, features, network.main)


def gifnet_fuse(network: GIFNet, main: Tensor, auxiliary: Tensor, task: str) -> Tensor:
    """Fuse features as `GIFNet.fuse`."""
    height, width = main.shape[-2:]
    own, other = network.multi_modal, network.digital_photography
    if task != "multi_modal":
        own, other = other, own
    bias = network.offset_bias[0]()
    x, queries, values = _branch_block(own.blocks[0], own.embedding(pad_to_multiple(main, 4)), bias)
    local = values if task == "multi_modal" else None
    y, _, _ = _branch_block(other.blocks[0], other.embedding(pad_to_multiple(auxiliary, 4)), bias, queries, local)
    x = x + network._influence(task) * y
    x, _, _ = _branch_block(own.blocks[1], x, network.offset_bias[1]())
    mixed = network.merge(x)[..., :height, :width]
    return network.decoder(network.gate(torch.cat([main, mixed], 1))) / 2 + 0.5


def _branch_block(
    block: nn.Module, x: Tensor, bias: Tensor, queries: Tensor | None = None, local: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    assert isinstance(block, BranchBlock)
    mean = x.mean((1, 2, 3), keepdim=True)
    deviation = ((x - mean).square().mean((1, 2, 3), keepdim=True) + 1e-5).sqrt()
    normed = (x - mean) / deviation * block.norm.gain + block.norm.offset
    own_queries, keys = block.query_key(normed).chunk(2, 1)
    values = block.value(normed)
    asked = torch.cat([own_queries if queries is None else queries, keys, values], 1)
    height, width = values.shape[-2:]
    window, shift = block.window_size, block.shift
    bottom, right = ((-size - shift) % window for size in (height, width))
    padded = F.pad(asked, (shift, right, shift, bottom), mode="reflect").permute(0, 2, 3, 1)
    query, key, value = (
        window_partition(padded, window).unflatten(-1, (3, block.num_heads, -1)).permute(3, 0, 1, 4, 2, 5)
    )
    logits = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1) + bias
    out = (logits.softmax(-1) @ value).transpose(2, 3).flatten(3)
    out = window_reverse(out, window, *padded.shape[1:3]).permute(0, 3, 1, 2)
    attended = out[..., shift : shift + height, shift : shift + width]
    mixed = block.projection(attended + block.depthwise(values if local is None else local))
    x = x + mixed * block.norm.rescale(deviation) + block.norm.rebias(mean)
    return x + block.mlp(x), own_queries, values
