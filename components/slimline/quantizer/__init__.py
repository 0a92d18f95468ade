"""The Quantizer component."""
