"""Pictures and pages of explanations: PNG files, HTML from templates, and the film component in JavaScript."""
