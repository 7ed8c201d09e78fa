"""METHODS 15, patch by patch."""


def maskclip(parts, tower, target, tokens, residual, key_similarity):
    last = len(tower.inputs) - 1
    keys = [parts.linear(last, "self_attn.out_proj", k.detach()) for k in tower.keys[last]]
    found = []
    for i in tokens:
        x = parts.linear(last, "self_attn.out_proj", tower.values[last][i].detach())
        if residual:
            x = parts.feed_forward(last, x + tower.inputs[last][i].detach())
        similarity = float(parts.joint(x) @ target)
        if key_similarity:
            similarity *= float(keys[0] @ keys[i] / (keys[0].norm() * keys[i].norm()))
        found.append(similarity)
    return found
