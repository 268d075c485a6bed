"""The drawn lineage is what the definitions are."""

import pytest

from docs.draw_lineage import BEGIN, END, PAGE, PICTURE, embedded, picture


def test_the_picture_is_up_to_date_in_its_file_and_on_the_page() -> None:
    drawn, page = picture(), PAGE.read_text(encoding="utf-8")
    assert PICTURE.read_text(encoding="utf-8") == drawn, "draw it again: python -m docs.draw_lineage"
    assert embedded(page, drawn) == page, "draw it again: python -m docs.draw_lineage"
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


def test_a_page_without_the_marks_is_refused() -> None:
    assert embedded(f"a{BEGIN}old{END}b", "flowchart LR\n") == f"a{BEGIN}\n```mermaid\nflowchart LR\n```\n{END}b"
    with pytest.raises(ValueError, match="lacks"):
        embedded("a page", "flowchart LR\n")
