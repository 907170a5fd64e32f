"""Writes test/fixtures/tiny: small random models and what PyTorch, transformers and PEFT compute with them.

The weights are float32; every reference value is computed in float64. Nothing of this project takes
part: the files are an independent implementation's word on logits, gradients and training curves.
To make them again:

    pip install torch transformers peft safetensors
    python tools/make-fixtures.py
"""

import json
import math
import shutil
from pathlib import Path

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

OUT = Path(__file__).resolve().parent.parent / "test" / "fixtures" / "tiny"
VERSIONS = {
    "torch": torch.__version__,
    "transformers": transformers.__version__,
    "peft": peft.__version__,
}
LABELS = {0: "cold", 1: "hot", 2: "wet"}
ROWS = [[2, 7, 11, 5, 30, 17, 3], [2, 39, 8, 3], [2, 12, 12, 25, 9, 3]]
CLASSES = [1, 2, 0]
IGNORED = -100
PAD = 0

COMMON = dict(
    vocab_size=40,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=24,
    max_position_embeddings=24,
    pad_token_id=PAD,
)
LABELLED = dict(num_labels=3, id2label=LABELS, label2id={name: i for i, name in LABELS.items()})
NO_DROPOUT = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def bert_config(**changes):
    return BertConfig(**{**COMMON, **NO_DROPOUT, **changes})


def llama_config(**changes):
    return LlamaConfig(
        **{**COMMON, "num_key_value_heads": 2, "bos_token_id": 2, "eos_token_id": 3, **changes}
    )


# Every switch that config.json has and the engine reads is off its default in one of these.
MODELS = {
    "bert-classify": lambda: BertForSequenceClassification(bert_config(**LABELLED)),
    "bert-masked": lambda: BertForMaskedLM(
        bert_config(hidden_act="gelu_new", type_vocab_size=1, layer_norm_eps=1e-3)
    ),
    "llama-tied": lambda: LlamaForCausalLM(
        llama_config(
            tie_word_embeddings=True,
            rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        )
    ),
    "llama-untied": lambda: LlamaForCausalLM(
        llama_config(
            tie_word_embeddings=False,
            num_key_value_heads=1,
            head_dim=6,
            attention_bias=True,
            mlp_bias=True,
            rms_norm_eps=1e-3,
        )
    ),
    "llama-classify": lambda: LlamaForSequenceClassification(llama_config(**LABELLED)),
}
LORA_TARGETS = {
    "bert-classify": ["query", "value"],
    "llama-tied": ["q_proj", "v_proj", "down_proj"],
    "llama-classify": ["q_proj", "v_proj"],
}


def randomise(model, seed):
    """Weights far from their usual start, so that no bias is zero and no norm is the identity."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        is_norm = parameter.dim() == 1 and bool((parameter == 1).all())
        with torch.no_grad():
            parameter.copy_(1 + 0.2 * noise if is_norm else 0.3 * noise)


def rounded(value):
    if isinstance(value, torch.Tensor):
        return rounded(value.tolist())
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.10g}") if isinstance(value, float) else value


def digest(gradient):
    """Three numbers that any misplaced, missing or rescaled element changes."""
    flat = gradient.detach().double().flatten()
    wave = torch.cos(torch.arange(flat.numel(), dtype=torch.float64))
    return rounded(
        {"l2": flat.norm().item(), "wave": (flat * wave).sum().item(), "first4": flat[:4].tolist()}
    )


def pad(rows, value):
    length = max(len(row) for row in rows)
    return torch.tensor([row + [value] * (length - len(row)) for row in rows])


def targets_of(kind, indices):
    """What the rows are trained to predict, and the same in this project's terms."""
    rows = [ROWS[i] for i in indices]
    if kind == "classify":
        return torch.tensor([CLASSES[i] for i in indices])
    if kind == "causal":
        return pad(rows, IGNORED)
    # Masked: the token two places on, at every odd position; row and label as in a flat batch.
    labels = [
        [row[(t + 2) % len(row)] if t % 2 == 1 else IGNORED for t in range(len(row))]
        for row in rows
    ]
    return pad(labels, IGNORED)


def kind_of(name):
    return {"classify": "classify", "masked": "masked"}.get(name.split("-")[1], "causal")


def run(model, kind, indices, **options):
    rows = [ROWS[i] for i in indices]
    mask = pad([[1] * len(row) for row in rows], 0)
    return model(
        input_ids=pad(rows, PAD),
        attention_mask=mask,
        labels=targets_of(kind, indices),
        **options,
    )


def logits_of(model, kind, indices):
    """One entry per row: label logits, or vocabulary logits of the row's own positions."""
    with torch.no_grad():
        logits = run(model, kind, indices).logits
    if kind == "classify":
        return [row for row in logits]
    return [row[: len(ROWS[i])] for i, row in zip(indices, logits)]


def check_padding(model, kind):
    together = logits_of(model, kind, range(len(ROWS)))
    for i, row in enumerate(together):
        [alone] = logits_of(model, kind, [i])
        assert torch.allclose(row, alone, atol=1e-10), f"padding changes row {i}"


def reference(name, model):
    kind = kind_of(name)
    check_padding(model, kind)
    with torch.no_grad():
        first = run(model, kind, [0], output_hidden_states=True)
    indices = list(range(len(ROWS)))
    model.zero_grad()
    loss = run(model, kind, indices).loss
    loss.backward()
    gradients = {
        key: digest(parameter.grad)
        for key, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    model.zero_grad()
    logits = logits_of(model, kind, indices)
    if kind != "classify":
        logits = [row[-1] for row in logits]
    labels = targets_of(kind, indices)
    return {
        "rows": ROWS,
        "labels": labels.tolist(),
        "hidden_states_of_row_0": [rounded(state[0]) for state in first.hidden_states],
        "loss_of_row_0": rounded(first.loss.item()),
        "last_logits": [rounded(row) for row in logits],
        "loss": rounded(loss.item()),
        "gradients": gradients,
    }


def train_lora(name, base, folder):
    kind = kind_of(name)
    task = "SEQ_CLS" if kind == "classify" else "CAUSAL_LM"
    rate, decay, rank, alpha, steps = 0.01, 0.01, 3, 6, 6
    model = get_peft_model(
        base.float(),
        LoraConfig(task_type=task, r=rank, lora_alpha=alpha, target_modules=LORA_TARGETS[name]),
    )
    generator = torch.Generator().manual_seed(7)
    for key, parameter in model.named_parameters():
        if "lora_" in key:
            noise = torch.randn(parameter.shape, generator=generator)
            with torch.no_grad():
                parameter.copy_(0.2 * noise)
    model.peft_config["default"].base_model_name_or_path = name
    model.save_pretrained(folder / "adapter", save_embedding_layers=False)
    (folder / "adapter" / "README.md").unlink(missing_ok=True)
    model = model.double()
    trained = {key: p for key, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(list(trained.values()), lr=rate, weight_decay=decay)
    batches = [[0, 1], [2, 0], [1, 2]]
    losses, first_gradients = [], {}
    model.train()
    for step in range(steps):
        optimizer.zero_grad()
        loss = run(model, kind, batches[step % len(batches)]).loss
        loss.backward()
        losses.append(rounded(loss.item()))
        if step == 0:
            first_gradients = {plain(key): digest(p.grad) for key, p in trained.items()}
        optimizer.step()
    model.eval()
    final = logits_of(model, kind, range(len(ROWS)))
    if kind != "classify":
        final = [row[-1] for row in final]
    return {
        "rank": rank,
        "alpha": alpha,
        "targets": LORA_TARGETS[name],
        "rate": rate,
        "weight_decay": decay,
        "batches": batches,
        "losses": losses,
        "first_gradients": first_gradients,
        "final_last_logits": [rounded(row) for row in final],
    }


def plain(key):
    for old, new in (("base_model.model.", ""), (".default", ""), (".modules_to_save", "")):
        key = key.replace(old, new)
    return key


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def write_model(name, seed):
    folder = OUT / name
    model = MODELS[name]().eval()
    randomise(model, seed)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    values = reference(name, model.double())
    if name in LORA_TARGETS:
        values["lora"] = train_lora(name, model, folder)
    write_json(folder / "reference.json", {"made_with": VERSIONS, **values})


def optimizer_steps():
    generator = torch.Generator().manual_seed(3)
    start = torch.randn(6, generator=generator)
    gradients = [torch.randn(6, generator=generator) * 10**k for k in (0, -3, 1, 0, -1)]

    def run_optimizer(make):
        parameter = torch.nn.Parameter(start.double())
        optimizer = make([parameter])
        trace = []
        for gradient in gradients:
            parameter.grad = gradient.double()
            optimizer.step()
            trace.append(rounded(parameter.detach().clone()))
        return trace

    def clipped(gradient, bound):
        parameter = torch.nn.Parameter(start.double())
        parameter.grad = gradient.double()
        norm = torch.nn.utils.clip_grad_norm_([parameter], bound)
        return {
            "gradient": rounded(gradient),
            "bound": bound,
            "norm": rounded(norm.item()),
            "clipped": rounded(parameter.grad),
        }

    def rates(make):
        optimizer = torch.optim.SGD([torch.nn.Parameter(start)], lr=0.5)
        schedule = make(optimizer)
        trace = []
        for _ in range(12):
            trace.append(rounded(schedule.get_last_lr()[0]))
            optimizer.step()
            schedule.step()
        return trace

    adamw = dict(lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05)
    sgd = dict(lr=0.1, momentum=0.9, weight_decay=0.05)
    return {
        "made_with": VERSIONS,
        "start": rounded(start),
        "gradients": rounded([gradient.tolist() for gradient in gradients]),
        "adamw": {
            "settings": adamw,
            "parameters": run_optimizer(lambda p: torch.optim.AdamW(p, **adamw)),
        },
        "sgd": {
            "settings": sgd,
            "parameters": run_optimizer(lambda p: torch.optim.SGD(p, **sgd)),
        },
        "clipping": [clipped(gradients[2], 1.0), clipped(gradients[1], 1.0)],
        "schedules": {
            "peak_rate": 0.5,
            "warmup_steps": 3,
            "total_steps": 10,
            "linear": rates(lambda o: get_linear_schedule_with_warmup(o, 3, 10)),
            "cosine": rates(lambda o: get_cosine_schedule_with_warmup(o, 3, 10)),
        },
    }


def main():
    torch.manual_seed(0)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    for seed, name in enumerate(MODELS):
        write_model(name, seed)
    write_json(OUT / "optimizers.json", optimizer_steps())
    files = [path for path in OUT.rglob("*") if path.is_file()]
    for path in files:
        path.chmod(0o644)
    print(f"wrote {math.ceil(sum(path.stat().st_size for path in files) / 1000)} kB to {OUT}")


if __name__ == "__main__":
    main()
