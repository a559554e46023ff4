"""The tabs below the stage, one file per tab."""
