"""What was changed outside since a stage was last applied."""
