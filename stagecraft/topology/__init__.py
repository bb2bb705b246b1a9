"""A stage as a picture: what is in it and who may talk to whom, as its declarations say."""
