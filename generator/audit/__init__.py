"""Can anybody tell where was painted? Probes that try to."""
