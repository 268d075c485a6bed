"""The drawn lineage is what the definitions are."""

from docs.draw_lineage import MARKS, fenced, picture
from docs.marked import PAGE


def test_the_picture_on_the_page_is_up_to_date() -> None:
    drawn, page = picture(), PAGE.read_text(encoding="utf-8")
    assert MARKS.filled(page, fenced(drawn)) == page, "draw it again: python -m docs.draw_lineage"
    for told in (
        "recipe__adapter --> recipe__samples",
        "reference_set ==> recipe__evaluation",
        "recipe__prior -.-> recipe__adapter",
        "other_recipe__adapter -.->|init_from| recipe__adapter",
        "base__latents -.->|turbo of a UNet| recipe__turbo_adapter",
        "base__latents ==> recipe__joint_adapter",
        "base__base_model -.->|base_model| captions",
    ):
        assert f"  {told}\n" in drawn
    assert "recipe__evaluation --> recipe__adapter" not in drawn
