"""What the worker process can do: one job a file, each with `run(request, answers)`."""
