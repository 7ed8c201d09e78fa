"""Write a CLIPModel's weights the way OpenAI's CLIP names them, independently of the reader under test."""

import torch


def state_dict(module):
    """Names and layouts of openai/CLIP's VisionTransformer and Transformer."""
    out = {"logit_scale": module.logit_scale.detach()}
    vision, text = module.vision_model, module.text_model
    out["visual.class_embedding"] = vision.embeddings.class_embedding
    out["visual.conv1.weight"] = vision.embeddings.patch_embedding.weight
    out["visual.positional_embedding"] = vision.embeddings.position_embedding.weight
    out["visual.proj"] = module.visual_projection.weight.T
    out["token_embedding.weight"] = text.embeddings.token_embedding.weight
    out["positional_embedding"] = text.embeddings.position_embedding.weight
    out["text_projection"] = module.text_projection.weight.T
    for norm, name in (
        (vision.pre_layrnorm, "visual.ln_pre"),
        (vision.post_layernorm, "visual.ln_post"),
        (text.final_layer_norm, "ln_final"),
    ):
        out[f"{name}.weight"], out[f"{name}.bias"] = norm.weight, norm.bias
    for tower, start in ((vision, "visual.transformer.resblocks"), (text, "transformer.resblocks")):
        for number, block in enumerate(tower.encoder.layers):
            a = block.self_attn
            for kind in ("weight", "bias"):
                here = f"{start}.{number}"
                thirds = [getattr(p, kind) for p in (a.q_proj, a.k_proj, a.v_proj)]
                out[f"{here}.attn.in_proj_{kind}"] = torch.cat(thirds)
                out[f"{here}.attn.out_proj.{kind}"] = getattr(a.out_proj, kind)
                out[f"{here}.ln_1.{kind}"] = getattr(block.layer_norm1, kind)
                out[f"{here}.ln_2.{kind}"] = getattr(block.layer_norm2, kind)
                out[f"{here}.mlp.c_fc.{kind}"] = getattr(block.mlp.fc1, kind)
                out[f"{here}.mlp.c_proj.{kind}"] = getattr(block.mlp.fc2, kind)
    return {name: value.detach().clone() for name, value in out.items()}
