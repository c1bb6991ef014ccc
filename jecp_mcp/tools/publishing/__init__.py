"""What is published as tools: names, texts and who is shown which."""
