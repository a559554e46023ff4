"""Training data: sources, loading, streaming, caching, holes and augmentation."""
