"""The evaluation as one page for people: it reads `evaluation.json`, and needs nothing but that."""
