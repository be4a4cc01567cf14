"""Makes the tiny models of this folder and what transformers computes with them.

pip install torch transformers tokenizers safetensors gguf numpy; python make.py
Nothing of it is needed to run the tests.
"""
import json, os, numpy as np, torch
from gguf import GGUFWriter, GGMLQuantizationType as T, quants
from tokenizers import Tokenizer, models, pre_tokenizers, decoders, processors, trainers
from transformers import (LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config,
                          Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM, BertConfig, BertModel)

torch.manual_seed(7)
TEXT = ["The village wakes early, and its agents talk: who mends the bridge, who counts the grain? 123 4567",
        "Größe, naïve, 東京, émigré — words that are longer in bytes than in letters.", "a tool's answer isn't a turn\n\n  spaces"]
VOCAB = 288

def tokenizer(folder="."):
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    special = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    t.train_from_iterator(TEXT * 20, trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=special,
                          initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    b = t.token_to_id("<|begin_of_text|>")
    t.post_processor = processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", b)])
    t.save(f"{folder}/tokenizer.json")
    return t

def save(model, folder, dtype=None):
    os.makedirs(folder, exist_ok=True)
    if dtype: model = model.to(dtype)
    model.save_pretrained(folder)
    for extra in ("generation_config.json",):
        if os.path.exists(f"{folder}/{extra}"): os.remove(f"{folder}/{extra}")

IDS = [0, 17, 93, 201, 44, 280, 5, 260, 88, 88, 131, 7]
out = {"ids": IDS, "logits": {}}

def logits(model):
    with torch.no_grad():
        got = model.eval()(torch.tensor([IDS])).logits[0].float()
    # The last position whole, and the first and middle ones in part.
    return {"last": [round(float(v), 5) for v in got[-1]], "first": [round(float(v), 5) for v in got[0][:16]],
            "middle": [round(float(v), 5) for v in got[5][:16]]}

base = dict(vocab_size=VOCAB, hidden_size=16, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=64, bos_token_id=0, eos_token_id=3, initializer_range=0.3)
llama = LlamaForCausalLM(LlamaConfig(**base, tie_word_embeddings=True, rope_parameters={
    "rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16})).to(torch.float16)
save(llama, "llama"); tok = tokenizer()
llama = LlamaForCausalLM.from_pretrained("llama", dtype=torch.float32)
out["logits"]["llama"] = logits(llama)
small = dict(base, num_hidden_layers=1, vocab_size=VOCAB)
mistral = MistralForCausalLM(MistralConfig(**small, head_dim=8, sliding_window=5, tie_word_embeddings=True, attn_implementation="eager")).to(torch.bfloat16)
save(mistral, "mistral")
out["logits"]["mistral"] = logits(MistralForCausalLM.from_pretrained("mistral", dtype=torch.float32, attn_implementation="eager"))
qwen2 = Qwen2ForCausalLM(Qwen2Config(**small, tie_word_embeddings=True)).to(torch.float16)
for l in qwen2.model.layers:
    for p in (l.self_attn.q_proj, l.self_attn.k_proj, l.self_attn.v_proj): torch.nn.init.normal_(p.bias, std=0.5)
save(qwen2, "qwen2")
out["logits"]["qwen2"] = logits(Qwen2ForCausalLM.from_pretrained("qwen2", dtype=torch.float32))
qwen3 = Qwen3ForCausalLM(Qwen3Config(**small, head_dim=16, tie_word_embeddings=True)).to(torch.bfloat16)
for l in qwen3.model.layers:
    for p in (l.self_attn.q_norm, l.self_attn.k_norm): torch.nn.init.normal_(p.weight, mean=1.0, std=0.3)
save(qwen3, "qwen3")
out["logits"]["qwen3"] = logits(Qwen3ForCausalLM.from_pretrained("qwen3", dtype=torch.float32))

# GGUF: hidden 256, so that super-blocks fit; weights are read back before the reference computes with them.
wide = dict(base, hidden_size=256, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
            head_dim=16, vocab_size=64, initializer_range=0.08)
GIDS = [i % 64 for i in IDS]
def q4_k(x):
    """An encoder of Q4_K that is simple and not good: what counts is that both sides read the same bytes."""
    x = x.reshape(-1, 8, 32); lo, hi = np.minimum(x.min(2), 0), x.max(2)
    s, m = (hi - lo) / 15, -lo
    d, dm = s.max(1) / 63, m.max(1) / 63
    d16, m16 = d.astype(np.float16), dm.astype(np.float16)
    qs = np.clip(np.round(s / np.maximum(d16.astype(np.float32)[:, None], 1e-12)), 0, 63).astype(np.uint8)
    qm = np.clip(np.round(m / np.maximum(m16.astype(np.float32)[:, None], 1e-12)), 0, 63).astype(np.uint8)
    sc = d16.astype(np.float32)[:, None] * qs; mn = m16.astype(np.float32)[:, None] * qm
    q = np.clip(np.round((x + mn[..., None]) / np.maximum(sc[..., None], 1e-12)), 0, 15).astype(np.uint8)
    head = np.zeros((x.shape[0], 12), np.uint8)
    head[:, 0:4] = (qs[:, :4] & 63) | (qs[:, 4:] >> 4 << 6)
    head[:, 4:8] = (qm[:, :4] & 63) | (qm[:, 4:] >> 4 << 6)
    head[:, 8:12] = (qs[:, 4:] & 15) | (qm[:, 4:] & 15) << 4
    codes = (q[:, 0::2] | q[:, 1::2] << 4).reshape(x.shape[0], 128)
    return np.concatenate([d16.view(np.uint8).reshape(-1, 2), m16.view(np.uint8).reshape(-1, 2), head, codes], 1)

NAMES = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
         "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
def gguf(path, kind):
    torch.manual_seed(11)
    hidden = dict(wide)
    if kind != "q4_k": hidden.update(hidden_size=32, intermediate_size=64, num_attention_heads=2, num_key_value_heads=1)
    model = LlamaForCausalLM(LlamaConfig(**hidden, rope_parameters={"rope_type": "default", "rope_theta": 10000.0}))
    w = GGUFWriter(path, "llama")
    c = model.config
    w.add_block_count(1); w.add_context_length(64); w.add_embedding_length(c.hidden_size); w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(2); w.add_head_count_kv(1); w.add_rope_dimension_count(16); w.add_key_length(16); w.add_value_length(16); w.add_rope_freq_base(10000.0)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    # Pieces with scores, as SentencePiece has them.
    names = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in b"\n!.?\xc3\xb6"] + ["▁"] + list("abcdefghijklmnopqrstuvwxyz")
    names += ["▁t", "▁a", "he", "▁the", "in", "re", "▁s", "at", "er", "ou", "nd", "▁and", "▁b", "on", "en", "▁is", "▁w", "▁c", "it"]
    names += [f"<pad{i}>" for i in range(64 - len(names))]
    w.add_tokenizer_model("llama"); w.add_token_list(names)
    w.add_token_scores([0.0] * 3 + [0.0] * 6 + [-(i + 100.0) for i in range(27)] + [-(i + 0.0) for i in range(64 - 36)])
    w.add_token_types([2, 3, 3] + [6] * 6 + [1] * (64 - 9)); w.add_bos_token_id(1); w.add_eos_token_id(2)
    for name, tensor in list(model.state_dict().items()):
        x = tensor.numpy().astype(np.float32)
        if name == "model.embed_tokens.weight": new = "token_embd.weight"
        elif name == "lm_head.weight": new = "output.weight"
        elif name == "model.norm.weight": new = "output_norm.weight"
        else:
            _, _, n, part = name.split(".", 3); stem, end = part.rsplit(".", 1)
            new = f"blk.{n}.{NAMES[stem]}.{end}"
        def permute(x, heads):
            return x.reshape(heads, 2, x.shape[0] // heads // 2, x.shape[1]).swapaxes(1, 2).reshape(x.shape)
        def restore(x, heads):
            return x.reshape(heads, x.shape[0] // heads // 2, 2, x.shape[1]).swapaxes(1, 2).reshape(x.shape)
        heads = 2 if "q_proj" in name else 1 if "k_proj" in name else 0
        y = permute(x, heads) if heads else x
        if x.ndim == 1 or kind == "f32":
            w.add_tensor(new, y); back = y
        elif kind == "f16":
            w.add_tensor(new, y.astype(np.float16)); back = y.astype(np.float16).astype(np.float32)
        else:
            t = {"q4_0": T.Q4_0, "q8_0": T.Q8_0, "q4_k": T.Q4_K}[kind]
            if kind == "q4_k" and x.shape[1] % 256: t = T.Q8_0
            if kind == "q4_0" and new == "output.weight": t = T.Q8_0
            raw = q4_k(y).reshape(y.shape[0], -1) if t == T.Q4_K else quants.quantize(y, t)
            w.add_tensor(new, raw, raw_dtype=t); back = quants.dequantize(raw, t).reshape(y.shape)
        back = restore(back, heads) if heads else back
        with torch.no_grad(): tensor.copy_(torch.from_numpy(back.copy()))
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
    with torch.no_grad(): got = model.eval()(torch.tensor([GIDS])).logits[0]
    return {"last": [round(float(v), 5) for v in got[-1]], "first": [round(float(v), 5) for v in got[0][:16]],
            "middle": [round(float(v), 5) for v in got[5][:16]]}

out["gguf_ids"] = GIDS
for kind in ("f16", "q4_0", "q4_k"): out["logits"][kind] = gguf(f"{kind}.gguf", kind)

# The tokens of texts.
out["tokens"] = [{"text": t, "ids": tok.encode(t, add_special_tokens=False).ids} for t in TEXT]

# What the model says, taking the likeliest token each time.
with torch.no_grad():
    ids = torch.tensor([tok.encode("who mends the bridge?").ids])
    for _ in range(12):
        ids = torch.cat([ids, llama(ids).logits[:, -1:].argmax(-1)], 1)
    written = ids[0][-12:].tolist()
out["greedy"] = {"prompt": "who mends the bridge?", "ids": written, "text": tok.decode(written)}

os.makedirs("bert", exist_ok=True)
bert = BertModel(BertConfig(vocab_size=VOCAB, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
                            max_position_embeddings=40, initializer_range=0.3), add_pooling_layer=False).eval()
for p in bert.parameters():
    if p.ndim == 1: torch.nn.init.normal_(p, mean=float(p.detach().mean()), std=0.2)
save(bert, "bert")
t = tok; out["vectors"] = []
for text in ["who counts the grain?", "a", "Größe — words that are longer"]:
    ids = t.encode(text).ids
    with torch.no_grad(): h = bert(torch.tensor([ids])).last_hidden_state[0].mean(0)
    out["vectors"].append({"text": text, "tokens": len(ids), "vector": [round(float(v), 6) for v in h / h.norm()]})
json.dump(out, open("expected.json", "w"), ensure_ascii=False)
