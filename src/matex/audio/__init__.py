"""Sound: recordings read from files, spectrograms as the models' original code makes them, and pictures of them."""
