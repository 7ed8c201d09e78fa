"""Published models that load by name, with the licences of their weights. Data alone: a list imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A published model.

    Args:
        name: as `matex.load` takes it.
        summary: what it is, with what the images and phrases of its training were.
        licence: of the weights, as published with them in 2026; read it there before use.
        gated: whether the hub asks for an account that has accepted the licence.
    """

    name: str
    summary: str
    licence: str
    gated: bool = False

    @property
    def hub_id(self) -> str:
        """Repository on the hub."""
        return self.name.split(":")[-1]


_NON_COMMERCIAL = "CC BY-NC 4.0: no commercial use"
PUBLISHED: tuple[Published, ...] = (
    Published("hf:openai/clip-vit-base-patch32", "CLIP ViT-B/32, photographs", "MIT (code); model card: research"),
    Published("hf:openai/clip-vit-large-patch14-336", "CLIP ViT-L/14 at 336", "MIT (code); model card: research"),
    Published("hf:flaviagiammarino/pubmed-clip-vit-base-patch32", "PubMedCLIP, figures of articles", "MIT"),
    Published("hf:StanfordAIMI/XrayCLIP__vit-l-14__laion2b-s32b-b82k", "XrayCLIP, chest radiographs", _NON_COMMERCIAL),
    Published("hf:StanfordAIMI/XrayCLIP__vit-b-16__laion2b-s34b-b88k", "XrayCLIP, chest radiographs", _NON_COMMERCIAL),
    Published(
        "hf:StanfordAIMI/XraySigLIP__vit-l-16-siglip-384__webli", "XraySigLIP, chest radiographs", _NON_COMMERCIAL
    ),
    Published(
        "hf:google/medsiglip-448",
        "MedSigLIP, radiographs and other medical images",
        "Health AI Developer Foundations terms",
        gated=True,
    ),
    Published("hf:google/siglip-base-patch16-224", "SigLIP ViT-B/16, photographs", "Apache-2.0"),
    Published("hf:google/siglip2-base-patch16-224", "SigLIP 2 ViT-B/16, photographs", "Apache-2.0"),
    Published(
        "open-clip:hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
        "BiomedCLIP, figures of articles",
        "MIT",
    ),
)


def published(hub_id: str) -> Published | None:
    """The published model of a hub id; None for any other."""
    return next((one for one in PUBLISHED if one.hub_id == hub_id), None)
