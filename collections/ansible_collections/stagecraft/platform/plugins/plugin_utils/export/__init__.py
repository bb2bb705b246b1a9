"""From a folder that somebody built to declarations of it."""
