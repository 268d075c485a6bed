"""Questions to the captioner: what it says of yes and no, and what is remembered of it."""

import numpy as np
import pytest
import torch
from PIL import Image

from director_diffusion.captions.qwen import QwenCaptioner
from director_diffusion.errors import ModelError
from director_diffusion.evaluation.encoders.questions import QUESTION, Asked, YesNoReader, cached_answers
from director_diffusion.progress import Silent
from director_diffusion.specs import Captioner, FolderSource
from director_diffusion.storage import Store

SPEC = Captioner(source=FolderSource(kind="folder", folder="f"), max_pixels=88 * 48, dtype="float32")
TEXTS = ["a red car", "three houses on grass at dusk, wide shot", "a tower"]


def picture(seed, size=(88, 48)):
    levels = np.random.default_rng(seed).integers(0, 256, size=(size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(levels)


@pytest.fixture(scope="module")
def captioner(mini_captioner):
    """The shipped captioner with words for yes and no, untaught: whatever it answers has no meaning."""
    captioner = QwenCaptioner(mini_captioner, SPEC, "cpu")
    captioner.processor.tokenizer.add_tokens(["Yes", "yes", "No"])
    torch.manual_seed(0)
    captioner.model.resize_token_embeddings(len(captioner.processor.tokenizer), mean_resizing=False)
    return captioner


def test_a_captioner_without_words_for_yes_and_no_is_refused(mini_captioner):
    with pytest.raises(ModelError, match="mini's captioner: has no single token for yes, so"):
        YesNoReader(QwenCaptioner(mini_captioner, SPEC, "cpu"), "mini's captioner")


def test_the_score_is_the_share_of_yes_in_the_next_token(captioner):
    """As by a greedy answer's own scores, each picture by itself: neither padding nor the batch matters."""
    images = [picture(1), picture(2, size=(56, 56)), picture(3)]
    found = YesNoReader(captioner, "mini").scores(images, TEXTS)
    assert found.shape == (3, 1)
    assert found.dtype == np.float32
    vocabulary = captioner.processor.tokenizer.get_vocab()
    for image, text, score in zip(images, TEXTS, found[:, 0], strict=True):
        conversation = captioner._conversation(image, f'Does this figure show "{text}"? Please answer yes or no.')
        inputs = captioner.processor(
            text=captioner.processor.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True),
            images=[conversation[0]["content"][0]["image"].resize(_seen(captioner, image))],
            do_resize=False,
            return_tensors="pt",
        )
        said = captioner.model.generate(**inputs, max_new_tokens=1, output_logits=True, return_dict_in_generate=True)
        p = torch.softmax(said.logits[0][0].double(), dim=0)
        yes = p[vocabulary["Yes"]] + p[vocabulary["yes"]]
        no = p[vocabulary["No"]] + p[captioner.processor.tokenizer.encode(" no", add_special_tokens=False)[0]]
        assert score == pytest.approx(float(yes / (yes + no)), abs=1e-4)
    assert len(set(found[:, 0].round(6))) == 3


def _seen(captioner, image):
    from qwen_vl_utils import smart_resize

    vision = captioner.processor.image_processor
    cell = vision.patch_size * vision.merge_size
    height, width = smart_resize(
        image.height, image.width, factor=cell, min_pixels=4 * cell**2, max_pixels=SPEC.max_pixels
    )
    return width, height


def test_the_question_is_the_papers():
    assert QUESTION.format(text="a cat") == 'Does this figure show "a cat"? Please answer yes or no.'


def test_answers_are_kept_by_picture_and_text(captioner, tmp_path):
    store, loads = Store(str(tmp_path)), []

    def ask(asked, **more):
        def load():
            loads.append(1)
            return YesNoReader(captioner, "mini")

        return cached_answers(store, "some", load, asked, batch_size=2, title="Asking", progress=Silent(), **more)

    opened = []

    def of(seed, text):
        return Asked(f"picture-{seed}", text, lambda: opened.append(seed) or picture(seed))

    some = [of(1, TEXTS[0]), of(1, TEXTS[1]), of(2, TEXTS[0])]
    first = ask(some)
    assert set(first) == {("picture-1", TEXTS[0]), ("picture-1", TEXTS[1]), ("picture-2", TEXTS[0])}
    assert len(loads) == 1
    opened.clear()
    again = ask([*some, of(3, TEXTS[2])])
    assert opened == [3]
    assert {pair: again[pair] for pair in first} == first
    assert ask(some) == first
    assert len(loads) == 2
    ask(some[:1], fresh="monday")
    assert len(loads) == 3
