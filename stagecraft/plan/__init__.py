"""What would change: one report for cloud and machines, and the file from which exactly that is applied."""
