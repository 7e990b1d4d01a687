"""One folder a chapter: which runs it needs, what decides its claims, what its page says and shows."""
