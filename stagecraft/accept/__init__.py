"""`stagecraft accept`: a stage proved in a real cloud, in a folder of its own, and the signed report of it."""
