"""A second model looks at what the first one painted."""
