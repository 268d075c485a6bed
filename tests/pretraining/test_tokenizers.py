"""Tokenizers: known words are one token, any text has some, and what is saved is what is loaded."""

from pathlib import Path

import pytest
from transformers import CLIPTokenizer, PreTrainedTokenizerBase, Qwen2Tokenizer, T5TokenizerFast

from director_diffusion.pretraining.chat_template import CHAT_TEMPLATE
from director_diffusion.pretraining.tokenizers import WORDS, clip_tokenizer, qwen_tokenizer, t5_tokenizer
from director_diffusion.scenes.captions import vocabulary

STRANGE = "Zürich 東京, 1999: 'déjà-vu' 🎬\n\tok"


@pytest.fixture(params=["clip", "t5", "qwen"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    makers = {"clip": clip_tokenizer, "t5": t5_tokenizer, "qwen": lambda: qwen_tokenizer(CHAT_TEMPLATE)}
    return makers[request.param]()


def test_every_known_word_is_one_token(tokenizer: PreTrainedTokenizerBase) -> None:
    # The captioner tells content only: its tokenizer knows no words of looks.
    words = vocabulary() if isinstance(tokenizer, Qwen2Tokenizer) else WORDS
    text = " ".join(words)
    assert len(tokenizer.tokenize(text)) == len(words)
    assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True).strip() == text


def test_any_text_has_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    ids = tokenizer(STRANGE).input_ids
    assert max(ids) < len(tokenizer)
    assert len(ids) > 10


def test_bytes_survive_in_qwens(tokenizer: PreTrainedTokenizerBase) -> None:
    if isinstance(tokenizer, Qwen2Tokenizer):
        assert tokenizer.decode(tokenizer(STRANGE).input_ids) == STRANGE
        assert tokenizer.tokenize("<|im_start|>user") == ["<|im_start|>", *tokenizer.tokenize("user")]


def test_special_tokens_stand_where_the_models_expect_them() -> None:
    clip, t5 = clip_tokenizer(), t5_tokenizer()
    assert (t5.pad_token_id, t5.eos_token_id, t5.unk_token_id) == (0, 1, 2)
    assert t5("car").input_ids[-1] == t5.eos_token_id
    # CLIP pools at the highest id.
    assert clip.eos_token_id == len(clip) - 1 == clip.pad_token_id
    assert clip("car").input_ids[0] == clip.bos_token_id


@pytest.mark.parametrize("kind", [CLIPTokenizer, T5TokenizerFast, Qwen2Tokenizer])
def test_what_is_saved_is_what_is_loaded(kind: type[PreTrainedTokenizerBase], tmp_path: Path) -> None:
    made = {
        CLIPTokenizer: clip_tokenizer,
        T5TokenizerFast: t5_tokenizer,
        Qwen2Tokenizer: lambda: qwen_tokenizer(CHAT_TEMPLATE),
    }[kind]()
    made.save_pretrained(tmp_path)
    loaded = kind.from_pretrained(tmp_path, local_files_only=True)
    assert loaded(STRANGE).input_ids == made(STRANGE).input_ids
    assert loaded.model_max_length == made.model_max_length
