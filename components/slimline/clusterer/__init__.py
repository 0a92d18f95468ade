"""The Clusterer component."""
