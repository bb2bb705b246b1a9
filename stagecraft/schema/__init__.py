"""JSON Schema of what an inventory declares, made of the same values by which the engine and the roles check it."""
