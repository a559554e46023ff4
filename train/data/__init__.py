"""Training pictures: where they come from, how they are loaded, and what is done to them."""
