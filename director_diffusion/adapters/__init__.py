"""Adapters: LoRA and LoKr in a denoiser, in files, merged, and in the layouts of other tools.

Belongs here: everything that knows what kind an adapter is.  Which linears carry one is a family's, how one learns is
`director_diffusion.training`'s.
"""
