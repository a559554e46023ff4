"""The interactive part of the page, where visitors pick, draw and see; it runs in the browser."""
