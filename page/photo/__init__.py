"""A visitor's own photo: read at a reduced scale, framed, and filled at its full resolution in the end."""
