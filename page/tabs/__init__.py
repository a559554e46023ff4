"""What stands below the stage: one file a tab."""
