"""From a click to a picture: `scene` is what was asked for, `turns` says when, `search` does it, `fill` tells it."""
