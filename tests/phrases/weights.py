"""The reading of a phrase as the tables of these tests write it."""

from matex.phrases import parse

EFFUSION = ("lower zone", "costophrenic angle")


def weights(text):
    """Side and region -> weight."""
    return {f"{mention.side or ''} {mention.region}".strip(): mention.weight for mention in parse(text)}


def effusion(**sides):
    """Weights of an effusion's usual places on each side."""
    return {f"{side} {region}": weight for side, weight in sides.items() for region in EFFUSION}


def pneumothorax(**sides):
    """Weights of a pneumothorax's usual places on each side."""
    return {f"{side} {region}": weight for side, weight in sides.items() for region in ("apex", "peripheral lung")}
