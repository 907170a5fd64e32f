"""The LoRA step of bench/pytorch/main.ts in PyTorch: one JSON request per line on stdin, one answer on stdout.

Needs Debian's python3-torch with libopenblas0-pthread; one thread. The model is BERT with random
weights, everything frozen but the low-rank factors on query and value and the classifier.
"""
import json
import math
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(1)


class LoraLinear(nn.Module):
    def __init__(self, inputs, outputs, rank):
        super().__init__()
        self.base = nn.Linear(inputs, outputs)
        self.a = nn.Parameter(torch.randn(rank, inputs) / math.sqrt(inputs))
        self.b = nn.Parameter(torch.zeros(outputs, rank))
        for parameter in self.base.parameters():
            parameter.requires_grad = False

    def forward(self, x):
        return self.base(x) + 2.0 * F.linear(F.linear(x, self.a), self.b)


class Block(nn.Module):
    def __init__(self, width, heads, inner, rank):
        super().__init__()
        self.heads = heads
        self.query = LoraLinear(width, width, rank)
        self.key = nn.Linear(width, width)
        self.value = LoraLinear(width, width, rank)
        self.output = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width)
        self.up = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x):
        B, T, C = x.shape
        split = lambda t: t.view(B, T, self.heads, C // self.heads).transpose(1, 2)
        q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
        scores = q @ k.transpose(2, 3) / math.sqrt(C // self.heads)
        mixed = (F.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(B, T, C)
        x = self.norm1(x + self.output(mixed))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class Model(nn.Module):
    def __init__(self, layers, width, heads, inner, vocab, rank):
        super().__init__()
        self.tokens = nn.Embedding(vocab, width)
        self.positions = nn.Embedding(128, width)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, heads, inner, rank) for _ in range(layers))
        self.classifier = nn.Linear(width, 2)
        for name, parameter in self.named_parameters():
            is_factor = name.endswith(".a") or name.endswith(".b")
            parameter.requires_grad = is_factor or name.startswith("classifier")

    def forward(self, ids):
        x = self.norm(self.tokens(ids) + self.positions(torch.arange(ids.shape[1])))
        for block in self.blocks:
            x = block(x)
        return self.classifier(x.mean(1))


def main():
    models = {}
    for line in sys.stdin:
        shape = json.loads(line)
        key = line
        if key not in models:
            torch.manual_seed(1)
            model = Model(
                shape["layers"], shape["width"], shape["heads"], shape["inner"], shape["vocab"], shape["rank"]
            )
            trained = [p for p in model.parameters() if p.requires_grad]
            ids = torch.randint(shape["vocab"], (shape["batch"], shape["tokens"]))
            labels = torch.randint(2, (shape["batch"],))
            models[key] = (model, torch.optim.AdamW(trained, lr=1e-3), ids, labels)
        model, optimizer, ids, labels = models[key]
        start = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(model(ids), labels).backward()
        optimizer.step()
        ms = 1000 * (time.perf_counter() - start)
        print(json.dumps({"ms": ms, "torch": torch.__version__}), flush=True)


main()
