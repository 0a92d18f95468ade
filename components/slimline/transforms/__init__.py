"""Beam transforms over `slimline.core`, in the subset that every runner executes (docs/decisions.md)."""
