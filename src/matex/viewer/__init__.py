"""The viewer: a local web page on which a person sees, compares and questions maps."""
