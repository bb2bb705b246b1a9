"""How stages are delivered by a pipeline: what each inventory declares, and the files that follow from it."""
