"""A visitor's own photo: read at reduced scale, framed, and filled at full resolution for the download."""
