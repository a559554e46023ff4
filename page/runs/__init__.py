"""From a click to a picture: `scene` is the request, `turns` schedules it, `search` runs it, `fill` reports it."""
