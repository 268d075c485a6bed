"""VAE start: weights from which the VAE already averages and repeats pixels before its first step.

Belongs here: that one initialisation.  Group norms and activations hide colours from a small autoencoder that starts at
random: after 150 steps it still gives back grey blur (14 dB on orange pictures). From here it takes 60 to pass 21 dB.

How.  Colours travel in the first channels, each also with its sign turned, since SiLU(x) - SiLU(-x) = x undoes the
activation; two constant channels travel with them, large enough that a group norm divides pictures by nearly the same
number.  Residual branches start at 0, convolutions pass these channels through, and all other channels start as ever,
free to learn detail.
"""

import torch
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

COLOURS = 3
CARRIED = 2 * COLOURS + 2  # colours, colours with their signs turned, two constants
CONSTANT = 1.5
LOG_VARIANCE = -4.0  # of the posterior: quiet enough to see through, loud enough that detail is worth amplifying


@torch.no_grad()
def start_linear(vae: AutoencoderKL) -> None:
    """Set the weights of a VAE whose norms have `CARRIED` or more channels in each group, and that has no attention."""
    encoder, decoder, latents = vae.encoder, vae.decoder, vae.config.latent_channels
    for block in vae.modules():
        if isinstance(block, ResnetBlock2D):
            nn.init.zeros_(block.conv2.weight)
            nn.init.zeros_(block.conv2.bias)
            if block.conv_shortcut is not None:
                _carry(block.conv_shortcut)
    for down in encoder.down_blocks:
        for sampler in down.downsamplers or ():
            _carry(sampler.conv)
    for up in decoder.up_blocks:
        for sampler in up.upsamplers or ():
            _carry(sampler.conv)
    for entry, exit_ in ((encoder.conv_in, encoder.conv_out), (decoder.conv_in, decoder.conv_out)):
        _enter(entry)
        _leave(exit_)
    encoder.conv_out.weight[latents:] *= 0.1
    encoder.conv_out.bias[latents:] = LOG_VARIANCE


def _carry(conv: nn.Conv2d) -> None:
    """Pass the carried channels through; where the convolution halves, as means of 2 × 2 pixels."""
    _cleared(conv, CARRIED)
    for channel in range(CARRIED):
        if conv.stride == (2, 2):
            conv.weight[channel, channel, :2, :2] = 0.25
        else:
            conv.weight[channel, channel, conv.kernel_size[0] // 2, conv.kernel_size[1] // 2] = 1


def _enter(conv: nn.Conv2d) -> None:
    """The first three inputs become carried channels."""
    bias = _cleared(conv, CARRIED)
    for colour in range(COLOURS):
        conv.weight[colour, colour, 1, 1] = 1
        conv.weight[COLOURS + colour, colour, 1, 1] = -1
    bias[CARRIED - 2], bias[CARRIED - 1] = CONSTANT, -CONSTANT


def _leave(conv: nn.Conv2d) -> None:
    """Carried channels, through norm and activation, become the first three outputs."""
    _cleared(conv, COLOURS)
    for colour in range(COLOURS):
        conv.weight[colour, colour, 1, 1] = 1
        conv.weight[colour, COLOURS + colour, 1, 1] = -1


def _cleared(conv: nn.Conv2d, outputs: int) -> Tensor:
    """The bias of a convolution of which the first `outputs` now give nothing."""
    if conv.bias is None:
        raise ValueError("the VAE's convolutions have biases")
    conv.weight[:outputs] = 0
    conv.bias[:outputs] = 0
    return conv.bias
