"""The front door: the command line over `generator` and `detection`."""
