"""One family in its published size, with random weights: its files are written, read, compared and explained.

Each family runs in a process of its own, `python -m tests.adapters.true_sizes FAMILY FOLDER`, so that the peak of its
memory is known. The libraries' forward passes are the oracles; the encoders of medical families are compared stage by
stage with transformers' ResNetModel, SwinModel and BertModel.
"""

import gc
import json
import resource
import sys
from pathlib import Path

import torch
import transformers
from torch.nn import functional as F

import matex
from matex.adapters import biovil, convirt, cxr_clip, gloria, imagebind_network, medclip
from matex.audio.recording import from_samples
from matex.forward_pass import encode
from matex.samples import samples
from tests.adapters import random_weights, sounding, test_clap, test_open_clip, test_pairs
from tests.adapters.words import word_tokenizer
from tests.openai_format import state_dict

PHRASE = "opacity in the left lower lung"
TOLERANCE = 1e-5
CLIP_TEXT = {"bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407}
LARGE = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
LARGE_TEXT = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
BASE = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}


def perturbed(module):
    """Default weights with noise, so that no bias is zero; in evaluation mode."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.dim() and "logit" not in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.01)
    return module.eval()


def pixels(side):
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


def of_transformers(folder, module, tokenizer, processor, side):
    """Files of a dual encoder of transformers; its own embeddings of images and of a phrase."""
    perturbed(module).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor.save_pretrained(folder)
    return f"hf:{folder}", {}, library_embeddings(module, tokenizer, side)


def library_embeddings(module, tokenizer, side):
    config, text = module.config, tokenizer(PHRASE, return_tensors="pt")
    ids, mask = text["input_ids"], text["attention_mask"]
    if config.model_type == "siglip":  # padded to its full length, without a mask
        ids, mask = F.pad(ids, (0, config.text_config.max_position_embeddings - ids.shape[1])), None
    with torch.no_grad():
        image = module.get_image_features(pixel_values=pixels(side))
        words = module.get_text_features(input_ids=ids, attention_mask=mask)
    image, words = (F.normalize(getattr(one, "pooler_output", one), dim=-1) for one in (image, words))
    return lambda model: compare(model, {"image": (pixels(side), image), "text": (ids, words)})


def compare(model, expected):
    """Largest difference of the model's embeddings from these, of inputs as {modality: (inputs, embeddings)}."""
    return max(
        float((encode(model.encoders[modality], inputs) - wanted).abs().max())
        for modality, (inputs, wanted) in expected.items()
    )


def clip_processor(side):
    return transformers.CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})


def clip_module(side=224, patch=32, vision=BASE, text=None, joint=512):
    config = transformers.CLIPConfig(
        vision_config={"image_size": side, "patch_size": patch, **vision},
        text_config={**CLIP_TEXT, **(text or {})},
        projection_dim=joint,
    )
    return transformers.CLIPModel(config)


def clip(side=224, **sizes):
    def write(folder):
        words = word_tokenizer(49406, 49407, 49407)
        return of_transformers(folder, clip_module(side, **sizes), words, clip_processor(side), side)

    return write


def openai_file(folder):
    module = perturbed(clip_module())
    torch.save(state_dict(module), folder / "chexzero.pt")
    words = word_tokenizer(49406, 49407, 49407)
    words.save_pretrained(folder)
    options = {"preset": "chexzero"}
    return f"openai:{folder / 'chexzero.pt'}", options, library_embeddings(module, words, 224)


def siglip_2(folder):
    config = transformers.SiglipConfig(
        vision_config={**BASE, "image_size": 224, "patch_size": 16, "hidden_act": "gelu_pytorch_tanh"},
        text_config={**BASE, "vocab_size": 256_000, "max_position_embeddings": 64, "projection_size": 768,
                     "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0, "hidden_act": "gelu_pytorch_tanh"},
    )  # fmt: skip
    processor = transformers.SiglipImageProcessor(size={"height": 224, "width": 224})
    words = word_tokenizer(None, 1, 0)
    return of_transformers(folder, transformers.SiglipModel(config), words, processor, 224)


def metaclip_2(folder):
    ends = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
    config = transformers.MetaClip2Config(
        vision_config={**BASE, "image_size": 224, "patch_size": 32},
        text_config={"vocab_size": 901_629, "max_position_embeddings": 77, **ends},
        projection_dim=512,
    )
    words = word_tokenizer(0, 2, 1)
    return of_transformers(folder, transformers.MetaClip2Model(config), words, clip_processor(224), 224)


def chinese_clip(folder):
    config = transformers.ChineseCLIPConfig(
        vision_config={**BASE, "image_size": 224, "patch_size": 16},
        text_config={**BASE, "vocab_size": 21_128, "pad_token_id": 0},
        projection_dim=512,
    )
    words = word_tokenizer(101, 102, 0)
    return of_transformers(folder, transformers.ChineseCLIPModel(config), words, clip_processor(224), 224)


def altclip(folder):
    config = transformers.AltCLIPConfig(
        vision_config={**LARGE, "image_size": 224, "patch_size": 14},
        text_config={**LARGE, "vocab_size": 250_002, "max_position_embeddings": 514, "project_dim": 768,
                     "pad_token_id": 1},
        projection_dim=768,
    )  # fmt: skip
    words = word_tokenizer(0, 2, 1)
    return of_transformers(folder, transformers.AltCLIPModel(config), words, clip_processor(224), 224)


def biomedclip(folder):
    """ViT-B/16 of timm and PubMedBERT, as open_clip names their weights."""
    vision = transformers.ViTConfig(image_size=224, patch_size=16, layer_norm_eps=1e-6)
    vit = perturbed(transformers.ViTModel(vision, add_pooling_layer=False))
    bert = perturbed(transformers.BertModel(transformers.BertConfig(), add_pooling_layer=False))
    text = torch.nn.Sequential(
        torch.nn.Linear(768, 640, bias=False), torch.nn.GELU(), torch.nn.Linear(640, 512, bias=False)
    )
    heads = torch.nn.Linear(768, 512, bias=False), text
    tensors, config = test_open_clip.biomed(vit, bert, heads)
    del tensors["text.transformer.embeddings.position_ids"]
    config["embed_dim"] = 512
    config["vision_cfg"] |= {"timm_model_name": "vit_base_patch16_224", "image_size": 224}
    config["text_cfg"]["context_length"] = 256
    test_open_clip.saved(folder, tensors, config)
    (folder / "tokenizer.json").unlink()
    random_weights.write_vocabulary(folder, 30_522)
    ids = torch.tensor([[2, 4, 5, 6, 7, 8, 9, 3]])
    pooler = "cls_last_hidden_state_pooler"
    image, words = test_open_clip.expected(vit, bert, heads, pixels(224), ids, pooler)
    check = {"image": (pixels(224), image), "text": (ids, words)}
    return f"open-clip:{folder}", {}, lambda model: compare(model, check)


def clap(folder):
    config = transformers.ClapConfig()
    module = perturbed(transformers.ClapModel(config)).requires_grad_(False)
    module.save_pretrained(folder)
    test_clap.extractor().save_pretrained(folder)
    words = word_tokenizer(0, 2, 1)
    words.save_pretrained(folder)
    spectrograms = torch.randn(1, 1, 64, 1001, generator=torch.Generator().manual_seed(2))
    text = words(PHRASE, return_tensors="pt")
    with torch.no_grad():
        audio = module.get_audio_features(spectrograms.transpose(2, 3))
        phrase = module.get_text_features(**text)
    audio, phrase = (F.normalize(getattr(one, "pooler_output", one), dim=-1) for one in (audio, phrase))
    check = {"audio": (spectrograms, audio), "text": (text["input_ids"], phrase)}
    return f"hf:{folder}", {}, lambda model: compare(model, check)


def medical(prefix, file, module, published=torch.nn.Module.state_dict):
    """A family whose encoders are compared with transformers' ResNetModel or SwinModel and BertModel."""

    def write(folder):
        network = perturbed(module())
        torch.save(published(network), folder / file)
        random_weights.write_vocabulary(folder, 28_996)
        return f"{prefix}:{folder / file}", {}, compare_stages

    return write


def bio_vil(config, file):
    def write(folder):
        image, text = perturbed(biovil.ImageModel(config)), perturbed(biovil.TextModel())
        torch.save(image.state_dict(), folder / file)
        torch.save(text.state_dict(), folder / "pytorch_model.bin")
        sizes = {"model_type": "cxr-bert", "projection_size": 128, "vocab_size": 30_522}
        (folder / "config.json").write_text(json.dumps(sizes))
        random_weights.write_vocabulary(folder, 30_522)
        return f"biovil:{folder}", {}, compare_stages

    return write


def compare_stages(model):
    """Largest difference, relative to the largest value, of the last stages from those of transformers' modules."""
    ids = torch.tensor([[2, 5, 6, 7, 8, 9, 3]])
    bert = model.text.bert
    config = transformers.BertConfig(**vars(bert.config))
    library = transformers.BertModel(config, add_pooling_layer=False).eval()
    library.load_state_dict(bert.state_dict(), strict=False)
    state = model.text.start(model.text.entry(ids), ids)
    for layer in range(model.text.depth):
        state = model.text.stage(layer, state)
    found = [differ(state.hidden, library(ids).last_hidden_state)]
    del library
    images = pixels(model.preprocessing.size[0])
    state = model.image.start(images, images)
    for layer in range(4):
        state = model.image.stage(layer, state)
    trunk = trunk_of(model)
    if model.name.startswith("gloria"):  # enlarges inside the network, as published
        images = F.interpolate(images, (299, 299), mode="bilinear", align_corners=True)
    features = trunk(images).last_hidden_state
    if features.dim() == 4:
        return max(*found, differ(state.hidden, features.flatten(2).mT))
    return max(*found, differ(trunk.layernorm(state.hidden), features))


def differ(found, expected):
    assert expected.isfinite().all()
    assert expected.abs().max() > 0
    return float((found - expected).abs().max() / expected.abs().max())


def trunk_of(model):
    """The ResNet or Swin of an image encoder as transformers' module."""
    weights = model.module.state_dict()
    swin = any("relative_position_bias_table" in name for name in weights)
    landmark = "embeddings.patch_embeddings.projection.weight" if swin else "conv1.weight"
    start = min((name for name in weights if name.endswith(landmark)), key=len).removesuffix(landmark)
    weights = {name.removeprefix(start): value for name, value in weights.items() if name.startswith(start)}
    library = transformers.SwinModel(transformers.SwinConfig()) if swin else transformers.ResNetModel(
        transformers.ResNetConfig()
    )  # fmt: skip
    names = renamed_swin(weights) if swin else renamed_resnet(weights)
    missing, _ = library.load_state_dict(names, strict=False)
    assert not [name for name in missing if "num_batches" not in name and "position_index" not in name], missing[:5]
    return library.eval()


def renamed_resnet(weights):
    """torchvision's names to transformers'."""
    found = {}
    for name, value in weights.items():
        parts = name.split(".")
        kind = {"conv": "convolution", "bn": "normalization"}
        if parts[0] in ("conv1", "bn1"):
            found[f"embedder.embedder.{kind[parts[0][:-1]]}.{parts[1]}"] = value
        elif parts[0].startswith("layer"):
            here = f"encoder.stages.{int(parts[0][5:]) - 1}.layers.{parts[1]}."
            if parts[2] == "downsample":
                here += "shortcut." + ("convolution", "normalization")[int(parts[3])]
            else:
                here += f"layer.{int(parts[2][-1]) - 1}.{kind[parts[2][:-1]]}"
            found[f"{here}.{parts[-1]}"] = value
    return found


def renamed_swin(weights):
    """The names of published files to those of transformers 5."""
    found = {}
    for name, value in weights.items():
        for new, old in random_weights.RENAMED if ".blocks." in name else ():
            name = name.replace(old, new)
        found[name] = value
    return found


def imagebind_huge(folder):
    """Six trunks, 1.2 billion weights: the file is written from a network that holds them once."""
    with torch.no_grad():
        network = imagebind_network.ImageBind(imagebind_network.HUGE).requires_grad_(False)
        generator = torch.Generator().manual_seed(0)
        for name, value in network.state_dict().items():
            if name.endswith("logit_scale"):
                value.fill_(3.0)
            elif value.dim() == 1 and name.endswith("weight"):
                value.fill_(1.0)
            else:
                value.normal_(std=0.02, generator=generator)
    torch.save(network.state_dict(), folder / "imagebind_huge.pth")
    word_tokenizer(49406, 49407, 49407).save_pretrained(folder)
    spectrograms = torch.randn(1, 1, 128, 204, generator=generator)
    expected = {"image": pixels(224)[:1], "audio": spectrograms}
    expected = {
        name: (one, network.embed("vision" if name == "image" else name, one)) for name, one in expected.items()
    }
    return f"imagebind:{folder / 'imagebind_huge.pth'}", {}, lambda model: compare(model, expected)


FAMILIES = {
    "clip-b32": (clip(), (7, 7)),
    "clip-b16": (clip(patch=16), (14, 14)),
    "clip-l14": (clip(patch=14, vision=LARGE, text=LARGE_TEXT, joint=768), (16, 16)),
    "clip-l14-336": (clip(side=336, patch=14, vision=LARGE, text=LARGE_TEXT, joint=768), (24, 24)),
    "chexzero": (openai_file, (7, 7)),
    "siglip-2-b16": (siglip_2, (14, 14)),
    "metaclip-2-b32": (metaclip_2, (7, 7)),
    "chinese-clip-b16": (chinese_clip, (14, 14)),
    "altclip": (altclip, (16, 16)),
    "biomedclip": (biomedclip, (14, 14)),
    "medclip-swin": (medical("medclip", "pytorch_model.bin", lambda: medclip.MedClip(medclip.SWIN)), (7, 7)),
    "medclip-resnet": (medical("medclip", "pytorch_model.bin", lambda: medclip.MedClip(medclip.RESNET50)), (7, 7)),
    "biovil": (bio_vil(biovil.BIOVIL, "biovil_image_resnet50_proj_size_128.pt"), (15, 15)),
    "biovil-t": (bio_vil(biovil.BIOVIL_T, "biovil_t_image_model_proj_size_128.pt"), (14, 14)),
    "gloria": (medical("gloria", "gloria.ckpt", gloria.Gloria), (10, 10)),
    "cxr-clip-swin": (medical("cxr-clip", "model.tar", lambda: cxr_clip.CxrClip(cxr_clip.SWIN)), (7, 7)),
    "cxr-clip-resnet": (medical("cxr-clip", "model.tar", lambda: cxr_clip.CxrClip(cxr_clip.RESNET50)), (7, 7)),
    "convirt": (medical("convirt", "model.pth", convirt.Convirt, published=test_pairs.published_convirt), (10, 10)),
    "clap": (clap, (2, 32)),
    "imagebind-huge": (imagebind_huge, (16, 16)),
}
"""What writes a family, and the grid of Grad-CAM's map at its last stage."""


def main(family, folder):
    write, grid = FAMILIES[family]
    name, options, check = write(Path(folder))
    gc.collect()
    model = matex.load(name, **options)
    with torch.no_grad():
        error = check(model)
    source = samples()[0].path if "image" in model.encoders else from_samples(sounding.chirp(), sounding.RATE)
    explanation = matex.explain(model, source, PHRASE, "gradcam")
    print(
        json.dumps(
            {
                "family": family,
                "weights": sum(value.numel() for value in model.module.state_dict().values()),
                "error": error,
                "grid": explanation.image.grid.shape,
                "expected": grid,
                "words": [word for word, _ in explanation.words],
                "notes": explanation.notes,
                "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
