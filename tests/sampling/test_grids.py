"""The grid that samples, previews and prompted pictures are shown in."""

from PIL import Image

from director_diffusion.sampling.grids import GAP, LINE, labelled_grid


def test_pictures_stand_in_their_rows_and_columns() -> None:
    red, blue = (Image.new("RGB", (24, 12), colour) for colour in ("red", "blue"))
    grid = labelled_grid([[red, blue], [None, red]], rows=["one", "two"], columns=["base", "step 2"], width=48)
    assert grid.size == (3 * GAP + 2 * 48, GAP + LINE + GAP + 2 * (LINE + 4 + 24 + GAP))
    top = GAP + LINE + GAP + LINE + 4
    below = top + LINE + 4 + 24 + GAP
    assert [grid.getpixel((x, y)) for y in (top, below) for x in (GAP, 2 * GAP + 48)] == [
        (255, 0, 0), (0, 0, 255), (255, 255, 255), (255, 0, 0)
    ]  # fmt: skip


def test_large_pictures_are_made_small_and_long_words_are_cut() -> None:
    grid = labelled_grid([[Image.new("RGB", (512, 256), "red")]], rows=["words " * 100], width=192)
    assert grid.size == (2 * GAP + 192, GAP + LINE + 4 + 96 + GAP)
