"""Families: one module per model architecture, behind one seam (`families.base.Family`)."""

from director_diffusion.families.base import Family


def get_family(name: str) -> Family:
    """The family called `name` in a base's spec."""
    from director_diffusion.families.flux import FluxFamily
    from director_diffusion.families.flux_pixel import FluxPixelFamily

    return {"flux": FluxFamily, "flux_pixel": FluxPixelFamily}[name]()
