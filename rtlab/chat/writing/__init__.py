"""What Unicode says about the characters of names and texts: which can be seen, and which spell one thing twice."""
