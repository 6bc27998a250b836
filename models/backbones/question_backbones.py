"""The backbones that a method for questions can be put around: its settings decide which."""

from __future__ import annotations

from models.backbones.attention_reader import AttentionReader, AttentionReaderBackbone
from models.backbones.clip_word_transformer import ClipWordTransformer, TransformerBackbone
from models.backbones.hga import Hga, HgaBackbone
from models.backbones.question_video import QuestionVideo

Backbone = Hga | ClipWordTransformer | AttentionReader


def build_backbone(sizes: Backbone, *, d_video: int, d_query: int, padded_pool: bool) -> QuestionVideo:
    """padded_pool (reference behaviour) concerns HGA alone; the others never look at padding."""
    if isinstance(sizes, Hga):
        return HgaBackbone(sizes, d_video=d_video, d_query=d_query, padded_pool=padded_pool)
    if isinstance(sizes, ClipWordTransformer):
        return TransformerBackbone(sizes, d_video=d_video, d_query=d_query)
    return AttentionReaderBackbone(sizes, d_video=d_video, d_query=d_query)
