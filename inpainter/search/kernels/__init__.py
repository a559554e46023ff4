"""What makes the search fast, and nobody needs to read to understand it."""
