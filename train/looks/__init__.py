"""Measures of how filled pictures look, based on features of pretrained networks."""
