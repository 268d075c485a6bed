"""Tokenizers: made from a list of words, in the real classes' formats.

Belongs here: vocabularies.  Every known word is one token; anything else falls back on pieces, characters or bytes, so
that any text has tokens.  The vocabularies are put together by rule and not trained, hence always the same.
"""

import itertools
import re
import string
from collections.abc import Iterable

from tokenizers import pre_tokenizers
from transformers import CLIPTokenizer, Qwen2Tokenizer, T5TokenizerFast

from director_diffusion.pretraining.denoiser_specs import CLIP_LENGTH
from director_diffusion.scenes.captions import vocabulary
from director_diffusion.scenes.style import style_vocabulary

_FURTHER_WORDS = "in the style of with and is to his her it from"
WORDS = tuple(sorted({*vocabulary(), *style_vocabulary(), *_FURTHER_WORDS.split()}))

# The commonest letter groups of English: unknown words then take about half as many tokens as letters.
_LETTER_GROUPS = """
th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de hi ri ro ic ne ea
ra ce li ch ll be ma si om ur ing ion and ent the tion er man son ver ter
"""
PIECES = tuple(dict.fromkeys(_LETTER_GROUPS.split()))

QWEN_SPECIAL_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
"""Qwen2.5-VL's own special tokens, in its order."""


def t5_tokenizer(max_length: int = 512) -> T5TokenizerFast:
    """Unigram over words, pieces and characters; pad 0, </s> 1, <unk> 2 as in T5."""
    pieces: dict[str, float] = {"<pad>": 0.0, "</s>": 0.0, "<unk>": 0.0}
    # A unigram model picks the segmentation of the highest total score: any whole word beats its own pieces.
    pieces |= {f"▁{word}": -2.0 for word in WORDS}
    pieces |= dict.fromkeys(PIECES, -8.0)
    letters = string.ascii_letters + string.digits + string.punctuation + "’“”–—äöüßéèêàçñáíóú"
    pieces |= dict.fromkeys(("▁", *letters), -10.0)
    return T5TokenizerFast(vocab=list(pieces.items()), extra_ids=0, model_max_length=max_length)


def clip_tokenizer(max_length: int = CLIP_LENGTH) -> CLIPTokenizer:
    """Byte-level BPE with `</w>` at words' ends; the special tokens have the highest ids, as in CLIP."""
    alphabet = _byte_alphabet()
    vocab = [*alphabet, *(f"{symbol}</w>" for symbol in alphabet)]
    merges = _merges(((*word[:-1], f"{word[-1]}</w>") for word in WORDS), PIECES)
    vocab += dict.fromkeys("".join(pair) for pair in merges)
    vocab += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab=_numbered(vocab), merges=merges, model_max_length=max_length)


def qwen_tokenizer(chat_template: str, texts: Iterable[str] = (), max_length: int = 4096) -> Qwen2Tokenizer:
    """Byte-level BPE in which a word and the space before it are one token, with Qwen2.5-VL's special tokens.

    Knows the words of drawn scenes, and those of `texts` as they stand in them.
    """
    alphabet = _byte_alphabet()
    content = vocabulary()
    found = dict.fromkeys(word.replace(" ", "Ġ") for text in texts for word in re.findall(" ?[A-Za-z]+", text))
    words = dict.fromkeys([*content, *(f"Ġ{word}" for word in content), *found])
    merges = _merges((tuple(word) for word in words), PIECES)
    vocab = [*alphabet, *dict.fromkeys("".join(pair) for pair in merges)]
    return Qwen2Tokenizer(
        vocab=_numbered([*vocab, *QWEN_SPECIAL_TOKENS]),
        merges=merges,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        extra_special_tokens=list(QWEN_SPECIAL_TOKENS[1:]),
        model_max_length=max_length,
        chat_template=chat_template,
    )


def _merges(words: Iterable[tuple[str, ...]], pieces: Iterable[str]) -> list[tuple[str, str]]:
    """Merges, in order, that make one token of each word.

    Byte-pair encoding applies the earliest merge first.  Every word's symbols are therefore put together by the merges
    listed so far, and what is left of it is merged from the left.
    """
    ranks: dict[tuple[str, str], int] = {}
    for symbols in [*(tuple(piece) for piece in pieces), *words]:
        left = _apply(list(symbols), ranks)
        while len(left) > 1:
            ranks.setdefault((left[0], left[1]), len(ranks))
            left = _apply(list(symbols), ranks)
    return list(ranks)


def _apply(symbols: list[str], ranks: dict[tuple[str, str], int]) -> list[str]:
    while True:
        known = [pair for pair in itertools.pairwise(symbols) if pair in ranks]
        if not known:
            return symbols
        first = min(known, key=ranks.__getitem__)
        merged: list[str] = []
        for symbol in symbols:
            if merged and (merged[-1], symbol) == first:
                merged[-1] += symbol
            else:
                merged.append(symbol)
        symbols = merged


def _byte_alphabet() -> list[str]:
    """The printable characters that stand for the 256 bytes."""
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def _numbered(tokens: Iterable[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}
