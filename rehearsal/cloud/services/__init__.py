"""One file a service: what descriptors cannot know. Each has SERVICES, the classes that answer."""
