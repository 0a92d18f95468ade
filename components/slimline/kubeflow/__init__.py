"""Pipelines on Kubeflow Pipelines."""
