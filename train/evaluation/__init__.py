"""Evaluation of models and methods: tables, figures, scores, and the choice of a snapshot."""
