"""An OWLv2 of random weights in the layout of the hub, whose boxes can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import POCKET

WIDTH, SIDE_PX, PATCH_PX, POSITIONS = 32, 64, 16, 16


def save_tiny_owl(folder: Path, *, shift: float = 0.0) -> Path:
    """Save a model that sees something at each of 4 x 4 places, whatever the picture: the folder.

    Its head adds nothing to where OWLv2 looks anyway: boxes of a quarter of the (padded, square) picture's side,
    around the lower right corner of each patch. A score is the sigmoid of a cosine plus `shift`: 0.27 to 0.73 with 0.
    """
    import torch
    from transformers import CLIPTokenizer, Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessor

    # The pocket's: in it, as in the real one, the end of a text has the highest number, which is how OWLv2 finds it.
    tokenizer = CLIPTokenizer.from_pretrained(POCKET / "tokenizer")
    sizes = {"hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Owlv2Config(
        projection_dim=WIDTH,
        text_config={
            **sizes,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": POSITIONS,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**sizes, "image_size": SIDE_PX, "patch_size": PATCH_PX},
    )
    torch.manual_seed(5)
    model = Owlv2ForObjectDetection(config)
    with torch.no_grad():
        for weights in (model.box_head.dense2, model.class_head.logit_shift, model.class_head.logit_scale):
            weights.weight.zero_()
            weights.bias.zero_()
        model.class_head.logit_shift.bias.fill_(shift)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    Owlv2ImageProcessor(size={"height": SIDE_PX, "width": SIDE_PX}).save_pretrained(folder)
    return folder
