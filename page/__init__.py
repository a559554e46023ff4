"""What the page needs beside its layout: the hole editor, running searches, views, snippets."""
