"""The EdgeValidator component."""
