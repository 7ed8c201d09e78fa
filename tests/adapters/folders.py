"""Every family on disk in its published format, small and with random weights, as `--model` names it."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel

import matex
from matex.adapters import convirt, cxr_clip, gloria, medclip
from matex.adapters.convirt import Convirt
from matex.adapters.cxr_clip import CxrClip, CxrClipConfig
from matex.adapters.gloria import Gloria
from matex.adapters.medclip import MedClip
from tests.adapters import (
    sounding,
    test_biovil,
    test_clap,
    test_medclip,
    test_open_clip,
    test_pairs,
    test_relatives,
    test_siglip2,
)
from tests.adapters import test_siglip as siglip
from tests.adapters.random_weights import BERT, SWIN, randomise, write_vocabulary
from tests.openai_format import state_dict

TINY = Path(matex.__file__).parent / "adapters" / "tiny"


@dataclass(frozen=True)
class Written:
    """A model on disk.

    Args:
        name: for `--model`.
        options: further options that its format needs, as `matex.load` takes them.
    """

    name: str
    options: dict = field(default_factory=dict)

    def arguments(self):
        """As arguments of a command."""
        found = ["--model", self.name]
        for key, value in self.options.items():
            found += [f"--{key}", ",".join(map(str, value)) if isinstance(value, list) else value]
        return found

    def entry(self, label):
        """As an entry of a benchmark's configuration."""
        values = {"name": self.name, "label": label, **self.options}
        return "{ " + ", ".join(f"{key} = {value!r}" for key, value in values.items()) + " }"


def write_clip(folder, patched):
    return Written(f"hf:{TINY}")


def write_openai(folder, patched):
    torch.manual_seed(0)
    ends = {"bos_token_id": 3757, "eos_token_id": 3758, "pad_token_id": 3758}  # of the bundled tokenizer
    shared = {"intermediate_size": 96, "num_hidden_layers": 3}
    config = CLIPConfig(
        vision_config={"hidden_size": 128, "num_attention_heads": 2, "image_size": 32, "patch_size": 8, **shared},
        text_config={"hidden_size": 64, "num_attention_heads": 1, "vocab_size": 3759, **ends, **shared},
        projection_dim=20,
    )
    torch.save(state_dict(test_open_clip.perturbed(CLIPModel(config))), folder / "clip.pt")
    return Written(f"openai:{folder / 'clip.pt'}", {"preset": "clip", "tokenizer": str(TINY)})


def write_siglip(folder, patched):
    return Written(f"hf:{siglip.saved(folder, siglip.small_siglip())}")


def write_siglip2(folder, patched):
    return Written(f"hf:{test_siglip2.saved(folder, test_siglip2.small_siglip2())}")


def write_relative(kind):
    return lambda folder, patched: Written(f"hf:{test_relatives.saved(folder, kind)}")


def write_clap(folder, patched):
    test_clap.small_clap().float().save_pretrained(folder)
    test_clap.extractor().save_pretrained(folder)
    test_clap.words_tokenizer().save_pretrained(folder)
    return Written(f"hf:{folder}")


def write_open_clip(folder, patched):
    parts = test_open_clip.biomed(test_open_clip.small_vit(), test_open_clip.small_bert(), test_open_clip.small_heads())
    return Written(f"open-clip:{test_open_clip.saved(folder, *parts)}", {"heads": [3, 2]})


def write_medclip(folder, patched):
    torch.save(test_medclip.published()[3], folder / "pytorch_model.bin")
    patched.setattr(medclip, "SWIN", test_medclip.WITH_SWIN)
    return Written(f"medclip:{write_vocabulary(folder)}")


def write_medclip_resnet(folder, patched):
    torch.save(randomise(MedClip(test_medclip.WITH_RESNET)).state_dict(), folder / "pytorch_model.bin")
    patched.setattr(medclip, "RESNET50", test_medclip.WITH_RESNET)
    return Written(f"medclip:{write_vocabulary(folder)}")


def write_biovil(config):
    def write(folder, patched):
        test_biovil.write_folder(folder, config, patched)
        return Written(f"biovil:{folder}")

    return write


def write_gloria(folder, patched):
    weights = randomise(Gloria(test_pairs.GLORIA)).float().state_dict()
    torch.save({"state_dict": {f"gloria.{name}": value for name, value in weights.items()}}, folder / "gloria.ckpt")
    write_vocabulary(folder)
    patched.setattr(gloria, "GloriaConfig", lambda: test_pairs.GLORIA)
    return Written(f"gloria:{folder / 'gloria.ckpt'}")


def write_cxr_clip(folder, patched):
    config = CxrClipConfig(SWIN, BERT, 10)
    test_pairs.write_cxr_clip(folder, config)
    write_vocabulary(folder)
    patched.setattr(cxr_clip, "SWIN", config)
    return Written(f"cxr-clip:{folder / 'model-best.tar'}")


def write_cxr_clip_resnet(folder, patched):
    config = CxrClipConfig(test_pairs.RESNET, BERT, 10)
    torch.save({"model": randomise(CxrClip(config)).state_dict()}, folder / "model-best.tar")
    write_vocabulary(folder)
    patched.setattr(cxr_clip, "RESNET50", config)
    return Written(f"cxr-clip:{folder / 'model-best.tar'}")


def write_convirt(folder, patched):
    module = randomise(Convirt(test_pairs.CONVIRT))
    torch.save(test_pairs.published_convirt(module), folder / "model.pth")
    write_vocabulary(folder)
    patched.setattr(convirt, "ConvirtConfig", lambda: test_pairs.CONVIRT)
    return Written(f"convirt:{folder / 'model.pth'}")


def write_imagebind(folder, patched):
    config = sounding.CONFIG
    mask = torch.full((config.text.context,) * 2, -torch.inf).triu(1)
    weights = {name: value.float() for name, value in sounding.small_network().state_dict().items()}
    torch.save({**weights, "modality_preprocessors.text.mask": mask}, folder / "imagebind_huge.pth")
    patched.setattr("matex.adapters.imagebind.HUGE", config)
    return Written(f"imagebind:{folder / 'imagebind_huge.pth'}", {"tokenizer": str(TINY)})


FAMILIES = {
    "clip": write_clip,
    "openai": write_openai,
    "siglip": write_siglip,
    "siglip2": write_siglip2,
    "metaclip-2": write_relative("metaclip_2"),
    "chinese-clip": write_relative("chinese_clip"),
    "altclip": write_relative("altclip"),
    "open-clip": write_open_clip,
    "medclip": write_medclip,
    "medclip-resnet": write_medclip_resnet,
    "biovil": write_biovil(test_biovil.SMALL),
    "biovil-t": write_biovil(test_biovil.TEMPORAL),
    "gloria": write_gloria,
    "cxr-clip": write_cxr_clip,
    "cxr-clip-resnet": write_cxr_clip_resnet,
    "convirt": write_convirt,
    "imagebind": write_imagebind,
}
"""What writes a family of images and texts to a folder, with a fixture to patch its size with."""

SOUNDS = {"imagebind": write_imagebind, "clap": write_clap}
