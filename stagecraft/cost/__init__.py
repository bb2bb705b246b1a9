"""What a stage costs a month: its declarations, dated price lists, and what its inventory assumes of its use."""
