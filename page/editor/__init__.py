"""The part of the page where one picks, draws and sees, which runs in the browser."""
