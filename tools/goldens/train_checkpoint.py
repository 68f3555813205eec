#!/usr/bin/env python3
"""Trains the demo's character model in PyTorch and saves fixtures/checkpoints/char-rnn.pt.

    $(tools/peers/environment) tools/goldens/train_checkpoint.py [OUTPUT.pt]

The file is what a training script leaves behind: the state dict inside a checkpoint, with the epoch,
the optimizer's state and the loss beside it. The text is Shakespeare's sonnets 18 and 116.
"""
import os
import sys

import torch
from torch import nn
from torch.nn import functional as F

TEXT = """Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:
Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date;
Sometime too hot the eye of heaven shines,
And often is his gold complexion dimm'd;
And every fair from fair sometime declines,
By chance or nature's changing course untrimm'd;
But thy eternal summer shall not fade,
Nor lose possession of that fair thou ow'st;
Nor shall death brag thou wander'st in his shade,
When in eternal lines to time thou grow'st:
So long as men can breathe or eyes can see,
So long lives this, and this gives life to thee.

Let me not to the marriage of true minds
Admit impediments. Love is not love
Which alters when it alteration finds,
Or bends with the remover to remove.
O no! it is an ever-fixed mark
That looks on tempests and is never shaken;
It is the star to every wand'ring bark,
Whose worth's unknown, although his height be taken.
Love's not Time's fool, though rosy lips and cheeks
Within his bending sickle's compass come;
Love alters not with his brief hours and weeks,
But bears it out even to the edge of doom.
If this be error and upon me prov'd,
I never writ, nor no man ever lov'd.
"""
HIDDEN, LAYERS, ROWS, STEPS, EPOCHS = 48, 2, 8, 24, 120


class CharRNN(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.rnn = nn.RNN(input_size=size, hidden_size=HIDDEN, num_layers=LAYERS, batch_first=True)
        self.classifier = nn.Linear(HIDDEN, size)

    def forward(self, x, h_0=None):
        output, h_n = self.rnn(x, h_0)
        return self.classifier(output), h_n


def main(path):
    torch.manual_seed(1609)
    torch.set_num_threads(1)
    alphabet = sorted(set(TEXT))
    text = torch.tensor([alphabet.index(c) for c in TEXT])
    starts = [row * (len(text) // ROWS) for row in range(ROWS)]
    model = CharRNN(len(alphabet))
    optimizer = torch.optim.RMSprop(model.parameters(), lr=2e-3)
    h, first, loss = None, None, None
    for epoch in range(1, EPOCHS + 1):
        for block in range(len(text) // ROWS // STEPS):
            index = torch.tensor([[s + block * STEPS + t for t in range(STEPS + 1)] for s in starts])
            tokens = text[index % len(text)]
            logits, h = model(F.one_hot(tokens[:, :-1], len(alphabet)).float(), h)
            h = h.detach()
            loss = F.cross_entropy(logits.transpose(1, 2), tokens[:, 1:])
            first = loss.item() if first is None else first
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    torch.save({"epoch": EPOCHS, "model_state_dict": model.state_dict(),
                "optimizer_state_dict": optimizer.state_dict(), "loss": loss.item()}, path)
    print(f"{path}: {len(alphabet)} characters, loss {first:.3f} -> {loss.item():.3f}")


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    target = os.path.join(here, "..", "..", "fixtures", "checkpoints", "char-rnn.pt")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    main(sys.argv[1] if len(sys.argv) > 1 else target)
